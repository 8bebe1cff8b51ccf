"""State that a turn of agent A leaves or holds is never seen by a turn of agent B.

Each case plants a canary from A and looks for it from B, eight turns of each at once, through the real HTTP API. It runs
twice: against a gateway whose pool isolates nothing, where the probe must find the canary, and against the real one, where
it must not.
The code of a probe runs in the turn process itself (engine `probe`), so that it sees what a child process would not.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.arena import open_arena

TURNS = 8
CANARY = "canary-of-a"
MARK = f"leak-test-{os.getpid()}"
"""A name of this run alone: without isolation the probes leave it on the host."""
PORT = 20_000 + os.getpid() % 10_000


@dataclasses.dataclass(frozen=True)
class Case:
    """What A does, again and again unless `once`, and what B looks at meanwhile, leaving a text in `answer`."""

    plant: str
    look: str
    canary: str = CANARY
    once: bool = False


CASES = {
    "environment": Case(f"os.environ['CANARY'] = '{CANARY}'", "answer = os.environ.get('CANARY', '')"),
    "environment_through_putenv_in_a_child": Case(f"os.putenv('CANARY', '{CANARY}')", "answer = shell('echo $CANARY')"),
    "working_directory": Case("os.chdir('/usr')", "answer = os.getcwd() + '|'", "/usr|"),
    "home_variable": Case("pass", "answer = shell('echo $HOME')", "profiles/a/home"),
    "hermes_home_variable": Case("pass", "answer = shell('echo $HERMES_HOME')", "profiles/a"),
    "umask": Case("os.umask(0o13)", "answer = shell('umask')", "0013"),
    "module_globals": Case(f"json.canary = '{CANARY}'", "answer = getattr(json, 'canary', '')"),
    "builtins": Case(f"builtins.canary = '{CANARY}'", "answer = getattr(builtins, 'canary', '')"),
    "signal_handler": Case(f"signal_name['n'] = '{CANARY}'", "answer = signal_name.get('n', '')"),
    "secret_of_the_env_file": Case("pass", "answer = shell('echo $SECRET_OF_A')", "secret-of-a"),
    "same_name_in_both_env_files": Case("pass", "answer = shell('echo $SHARED_NAME')", "value-of-a"),
    "env_file_itself": Case("pass", "answer = shell('cat HOME_OF_A/.env; cat /hermes/.env')", "secret-of-a"),
    "workspace_file": Case(
        f"open('mark', 'w').write('{CANARY}')", "answer = shell('cat HOME_OF_A/workspace/mark; cat mark; ls HOME_OF_A/..')"
    ),
    "memory_file": Case(
        f"open(os.environ['HERMES_HOME'] + '/memories/MEMORY.md', 'w').write('{CANARY}')",
        "answer = shell('cat HOME_OF_A/memories/MEMORY.md $HERMES_HOME/memories/MEMORY.md')",
    ),
    "file_in_tmp": Case(f"open('/tmp/{MARK}', 'w').write('{CANARY}')", f"answer = shell('cat /tmp/{MARK}')"),
    "file_in_dev_shm": Case(f"open('/dev/shm/{MARK}', 'w').write('{CANARY}')", f"answer = shell('cat /dev/shm/{MARK}')"),
    "command_line_in_proc": Case(
        f"children.append(subprocess.Popen(['sh', '-c', 'sleep 3; : {CANARY}']))",
        "answer = shell('cat /proc/[0-9]*/cmdline')",
        once=True,
    ),
    "environment_in_proc": Case(
        f"children.append(subprocess.Popen(['sleep', '3'], env={{'CANARY': '{CANARY}'}}))",
        "answer = shell('cat /proc/[0-9]*/environ')",
        once=True,
    ),
    "loopback_server": Case(
        f"serve(socket.AF_INET, ('127.0.0.1', {PORT}), b'{CANARY}')",
        f"answer = fetch(socket.AF_INET, ('127.0.0.1', {PORT}))",
        once=True,
    ),
    "abstract_socket": Case(
        f"serve(socket.AF_UNIX, '\\0{MARK}', b'{CANARY}')",
        f"answer = fetch(socket.AF_UNIX, '\\0{MARK}')",
        once=True,
    ),
}

PRELUDE = """
import builtins, json, os, socket, subprocess, threading, time
signal_name = json.__dict__.setdefault('signal_name', {})
children = []
answer = ''

def shell(command):
    return subprocess.run(['sh', '-c', command], capture_output=True, text=True, errors='replace').stdout

def serve(family, address, text):
    server = socket.socket(family)
    try:
        server.bind(address)
    except OSError:
        return
    server.listen(64)
    def loop():
        while True:
            peer, _ = server.accept()
            peer.sendall(text)
            peer.close()
    threading.Thread(target=loop, daemon=True).start()

def fetch(family, address):
    with socket.socket(family) as peer:
        try:
            peer.connect(address)
            return peer.recv(100).decode()
        except OSError:
            return ''
"""


def plant_text(case: Case) -> str:
    """Return A's probe: plant, and keep planting while B looks."""
    again = "pass" if case.once else case.plant
    return f"{PRELUDE}\n{case.plant}\nfor _ in range(15):\n    {again}\n    time.sleep(0.02)\nanswer = 'planted'\n"


def look_text(case: Case, home_of_a: Path, *, meeting: str, number: int) -> str:
    """Return B's probe: say that it looks, and look until the canary shows or the test says that A has done its worst."""
    look = case.look.replace("HOME_OF_A", str(home_of_a))
    return f"""{PRELUDE}
open({meeting!r} + '/looking-{number}', 'w').close()
for _ in range(1500):
    {look}
    if {case.canary!r} in answer or os.path.exists({meeting!r} + '/enough'):
        break
    time.sleep(0.02)
"""


async def count_leaks(home: Path, case: Case, *, isolated: bool) -> int:
    """Return how many of B's turns saw A's canary.

    A's turns start once all of B's look, and B's end once all of A's have: what A changes, and when, is then certain.
    """
    workspace = home / "profiles" / "b" / "workspace"
    async with open_arena(home, isolated=isolated, engine="probe") as arena:
        meeting = "/workspace" if isolated else str(workspace)
        plant = plant_text(case)
        await arena.ask("a", plant)
        answers: list[str] = []

        async def look(number: int) -> None:
            text = look_text(case, home / "profiles" / "a", meeting=meeting, number=number)
            answers.append(await arena.ask("b", text))

        async with trio.open_nursery() as nursery:
            for number in range(TURNS):
                nursery.start_soon(look, number)
            with trio.fail_after(30):
                while len(list(workspace.glob("looking-*"))) < TURNS:
                    await trio.sleep(0.01)
            assert await arena.ask_together([("a", plant)] * TURNS) == ["planted"] * TURNS
            (workspace / "enough").touch()
    return sum(case.canary in answer for answer in answers)


@pytest.fixture(autouse=True)
def swept_host() -> Iterator[None]:
    """Remove what the probes left on the host where nothing isolated them."""
    yield
    for place in ("/tmp", "/dev/shm"):
        Path(place, MARK).unlink(missing_ok=True)


@pytest.mark.parametrize("name", CASES)
async def test_state_of_one_agent_is_absent_in_another(tmp_path: Path, name: str) -> None:
    """The probe sees the state with isolation off, and does not see it through the real pool."""
    case = CASES[name]
    assert await count_leaks(tmp_path / "unsound", case, isolated=False) > 0, "the probe can't see this leak at all"
    assert await count_leaks(tmp_path / "isolated", case, isolated=True) == 0
