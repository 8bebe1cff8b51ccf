"""The process tree: what each part may hold, and what its death touches."""

import hashlib
import os
import secrets
import signal
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import Confinement, DataFile, SandboxPool, wire
from hermes_iso_sandbox.errors import GuestDiedError, SandboxError
from tests.support.pools import descendants, echo_request, named, output_of, probe_request, run_pool, simple_confinement

pytestmark = pytest.mark.sandbox


async def answer_of(pool: SandboxPool, confinement: Confinement, source: str) -> str:
    """Return what a probe answers."""
    async with pool.lease(confinement, session="s") as lease:
        await lease.send(probe_request(source))
        done = await lease.receive()
        assert isinstance(done, wire.TurnDone), done
        return done.text


SCAN = """
import hashlib, re
found = set()
regions = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r\\S+ \\S+ \\S+ \\S+ *(.*)$", open("/proc/self/maps").read(), re.M)
with open("/proc/self/mem", "rb", 0) as memory:
    for start, end, name in regions:
        if not name.startswith("[v"):
            memory.seek(int(start, 16))
            found |= set(re.findall(rb"s3cret-[0-9a-f]{16}", memory.read(int(end, 16) - int(start, 16))))
answer = " ".join(sorted(hashlib.sha256(each).hexdigest() for each in found))
"""


def test_turn_holds_its_own_secret_in_memory_and_nobody_elses(tmp_path: Path) -> None:
    """The template, whose memory every turn inherits, has never seen a profile's .env, and no zygote another's."""
    values = {name: f"s3cret-{secrets.token_hex(8)}" for name in ("one", "two")}
    confinements = {
        name: simple_confinement(
            tmp_path / name, env_file="/hermes/.env", files=(DataFile("/hermes/.env", f"KEY={value}".encode()),)
        )
        for name, value in values.items()
    }

    async def scenario(pool: SandboxPool) -> None:
        for confinement in confinements.values():
            await pool.warm(confinement)
        for name, value in values.items():
            assert await answer_of(pool, confinements[name], SCAN) == hashlib.sha256(value.encode()).hexdigest()

    run_pool(scenario)


def test_interpreter_of_a_turn_can_not_be_opened_for_writing(tmp_path: Path) -> None:
    """/proc/self/exe of a forked process leads to the template's mount, which is read-only like the turn's own."""
    source = """
import os
answer = ""
for path in ("/proc/self/exe", os.readlink("/proc/self/exe")):
    try:
        os.open(path, os.O_WRONLY)
        answer += "opened "
    except OSError as error:
        answer += os.strerror(error.errno) + "; "
    answer += "ro; " if os.statvfs(path).f_flag & os.ST_RDONLY else "rw; "
"""

    async def scenario(pool: SandboxPool) -> None:
        text = await answer_of(pool, simple_confinement(tmp_path / "a"), source)
        assert "opened" not in text
        assert "rw" not in text

    run_pool(scenario)


def test_turn_reaps_what_its_commands_leave(tmp_path: Path) -> None:
    """A turn is pid 1 and inherits every orphan: while the next command runs, dead ones go and count no more."""
    source = """
import os, subprocess, time
from hermes_iso_sandbox.guest.tools.subprocesses import run
from types import SimpleNamespace
bench = SimpleNamespace(cwd="/", link=link)
env = {"PATH": "/usr/bin:/bin"}
def zombies():
    return sum("(zombie)" in open(f"/proc/{pid}/status").read() for pid in os.listdir("/proc") if pid.isdigit())
first = run(bench, ["/bin/sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 &) ; done"], env=env, timeout=10)
time.sleep(0.5)
before = zombies()
second = run(bench, ["/bin/sh", "-c", "sleep 1.2; exit 7"], env=env, timeout=10)
answer = f"{before} {zombies()} {first.status} {second.status} {os.getpid()}"
"""

    async def scenario(pool: SandboxPool) -> None:
        assert await answer_of(pool, simple_confinement(tmp_path / "a"), source) == "5 0 0 7 1"

    run_pool(scenario)


def test_signal_to_the_process_group_reaches_no_zygote(tmp_path: Path) -> None:
    """A group can span pid namespaces: a turn's and a command's have nobody in them but what they started."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        await pool.warm(confinement)
        holders = named("cat")
        assert await answer_of(pool, confinement, "import os; os.kill(0, 9); os.killpg(0, 15); answer = 'lives'") == "lives"
        await output_of(pool, confinement, "kill -9 0", status=137)
        assert await output_of(pool, confinement, "echo lives") == "lives\n"
        assert named("cat") == holders

    run_pool(scenario)


def test_turn_shows_no_path_of_the_operator_but_its_home(tmp_path: Path) -> None:
    """mountinfo, maps, command lines and environments name no interpreter's place, gateway directory or other home."""
    source = """
import os
parts = [open(f"/proc/self/{name}").read() for name in ("mountinfo", "maps", "cmdline", "environ", "mounts")]
parts += [open("/proc/1/cmdline").read(), os.readlink("/proc/self/exe"), repr(dict(os.environ))]
answer = "\\n".join(parts)
"""

    async def scenario(pool: SandboxPool) -> None:
        await pool.warm(simple_confinement(tmp_path / "other"))
        text = await answer_of(pool, simple_confinement(tmp_path / "mine"), source)
        assert str(tmp_path / "mine").removeprefix("/tmp") in text  # what a bind always shows
        for path in (str(tmp_path / "other"), str(Path(__file__).parents[2]), "keeper.py", str(Path.home()) + "/"):
            assert path not in text

    run_pool(scenario)


@pytest.mark.parametrize("part", ["keeper", "template"])
def test_pool_serves_again_within_a_second_when_a_part_of_it_dies(tmp_path: Path, part: str) -> None:
    """The keeper takes every turn with it, the template none; what comes next gets a new one."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        await pool.warm(confinement)
        tree = pool._tree  # there is no public way to a part: what is tested is that nobody needs one
        assert tree is not None
        stand = tree._stands.current
        assert stand is not None
        keeper, template = stand.keeper, stand.templates[None, ""]
        pidfd = keeper._first if part == "keeper" else template._started.first
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        with anyio.fail_after(5):
            await (keeper.dead if part == "keeper" else template._started.ended).wait()
        with anyio.fail_after(5):
            began = anyio.current_time()
            assert await output_of(pool, confinement, "echo again") == "again\n"
            assert await output_of(pool, simple_confinement(tmp_path / "b"), "echo new") == "new\n"
            assert anyio.current_time() - began < 3  # a second on a quiet machine

    run_pool(scenario)


def test_zygote_that_dies_takes_its_turns_with_it(tmp_path: Path) -> None:
    """A turn whose zygote is gone has nobody to report its end: its sandbox ends, and the next turn gets a new one."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        async with pool.lease(confinement, session="s") as lease:
            await lease.send(probe_request("import time; time.sleep(60)"))
            (holder,) = named("cat")
            zygote = min(pid for pid in descendants(os.getpid()) if pid > holder)
            os.kill(zygote, signal.SIGKILL)
            with pytest.raises(GuestDiedError), anyio.fail_after(20):
                await lease.receive()
            assert named("cat") == set()
        async with pool.lease(confinement, session="s") as lease:
            await lease.send(echo_request("again"))
            assert await lease.receive() == wire.TurnDone("again")

    run_pool(scenario)


def test_many_turns_of_many_profiles_never_lose_a_zygote(tmp_path: Path) -> None:
    """No process of the tree is tied to the life of one that forked it and went."""

    async def scenario(pool: SandboxPool) -> None:
        confinements = [simple_confinement(tmp_path / str(number)) for number in range(6)]
        for confinement in confinements:
            await pool.warm(confinement)
        holders = named("cat")
        for turn in range(8):
            for confinement in confinements:
                async with pool.lease(confinement, session="s") as lease:
                    await lease.send(echo_request(str(turn)))
                    assert await lease.receive() == wire.TurnDone(str(turn))
        assert named("cat") == holders

    run_pool(scenario)


def test_planted_symlink_makes_nothing_on_the_host(tmp_path: Path) -> None:
    """Before 0.12 bwrap follows a symlink to /oldroot below a writable bind: no mount point of ours ever lies below one."""
    target = tmp_path / "made-by-bwrap"
    home = tmp_path / "a"

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(home)
        for name in ("hermes", "workspace", "tmp", "memories", ".agent", "etc", "proc", "dev", "run"):
            await output_of(pool, confinement, f"ln -s /oldroot{target} {name}")
        changed = simple_confinement(home, name="renamed", files=(DataFile("/hermes/config.yaml", b"x"),))
        await output_of(pool, changed, "true")

    run_pool(scenario)
    assert not target.exists()


def test_template_that_can_not_start_says_why(tmp_path: Path) -> None:
    """An interpreter that fails at import ends as one sentence, not as a pool that hangs."""
    prefix = tmp_path / "broken"
    (prefix / "bin").mkdir(parents=True)
    script = prefix / "bin" / "python3"
    script.write_text(
        f"#!/bin/sh\ncase $2 in -c) echo {prefix}; echo {script}; echo 0;; *) echo no module named x >&2; exit 1;; esac\n"
    )
    script.chmod(0o755)

    async def scenario(pool: SandboxPool) -> None:
        with pytest.raises(SandboxError, match="no module named x"):
            await pool.warm(simple_confinement(tmp_path / "a", python=str(script)))
        assert await output_of(pool, simple_confinement(tmp_path / "b"), "echo fine") == "fine\n"

    run_pool(scenario)
