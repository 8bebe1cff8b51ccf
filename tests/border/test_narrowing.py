"""Less than an agent may do: sandboxes in which no program starts, read-only directories, single turns that are narrowed."""

import json
from pathlib import Path

import pytest

from hermes_iso_sandbox import Bind, Confinement, PoolLimits, SandboxPool, wire
from hermes_iso_sandbox.guest import landlock
from hermes_iso_sandbox.wire import Narrowing
from tests.support.pools import ENV, output_of, probe_request, python_output, run_pool, simple_confinement

needs_landlock = pytest.mark.skipif(not landlock.find_abi(), reason="this kernel has no landlock")

ATTEMPTS = """
import ctypes, errno, os, subprocess
def tried(name, action):
    try:
        action()
        return name
    except OSError as error:
        return errno.errorcode[error.errno]
def spawned():
    subprocess.run(['/bin/true'], check=True)
def executed():
    pid = os.fork()
    if pid == 0:
        try:
            os.execv('/bin/true', ['true'])
        except OSError as error:
            os._exit(error.errno)
    if (code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])):
        raise OSError(code, 'execv')
def from_memory():
    fd = os.memfd_create('program')
    with open('/bin/true', 'rb') as file:
        os.write(fd, file.read())
    pid = os.fork()
    if pid == 0:
        try:
            os.execve(fd, ['true'], {})
        except OSError as error:
            os._exit(error.errno)
    if (code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])):
        raise OSError(code, 'execveat')
def written(path):
    def write():
        with open(path, 'a') as file:
            file.write('x')
    return write
"""
PROGRAMS = f"{ATTEMPTS}\nanswer = ' '.join(tried(f.__name__, f) for f in (spawned, executed, from_memory))"
WRITES = f"{ATTEMPTS}\nanswer = ' '.join(tried('written', written(f'{{p}}/f')) for p in ('/workspace', '/memory', '/tmp'))"


async def answer_of(pool: SandboxPool, confinement: Confinement, request: wire.TurnRequest) -> str:
    """Take one turn; return its answer, or how it failed."""
    async with pool.lease(confinement, session="s") as lease:
        await lease.send(request)
        end = await lease.receive()
    return str(end.text if isinstance(end, wire.TurnDone) else f"failed: {end.message}")


def two_places(tmp_path: Path, *, workspace: bool = True, **changes: object) -> Confinement:
    """Return a confinement with a workspace and a memory."""
    for name in ("workspace", "memory"):
        (tmp_path / name).mkdir(exist_ok=True)
    binds = (
        Bind(str(tmp_path / "workspace"), "/workspace", writable=workspace),
        Bind(str(tmp_path / "memory"), "/memory", writable=True),
    )
    return Confinement(home=tmp_path, binds=binds, env=ENV, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("execute", "expected"), [(True, "spawned executed from_memory"), (False, "EPERM EPERM EPERM")])
def test_no_program_starts_without_execute(tmp_path: Path, execute: bool, expected: str) -> None:
    """By a path, a fork and a descriptor of memory alike; with execute each of these ways works."""

    async def scenario(pool: SandboxPool) -> None:
        assert await answer_of(pool, simple_confinement(tmp_path / "a", execute=execute), probe_request(PROGRAMS)) == expected

    run_pool(scenario)


def test_command_and_background_process_start_no_program_either(tmp_path: Path) -> None:
    """A command ends with 126 and a sentence that says why, and so does what a turn starts beside itself."""
    confinement = simple_confinement(tmp_path / "a", execute=False)

    async def scenario(pool: SandboxPool) -> None:
        said = await output_of(pool, confinement, "true", status=126)
        assert said == "'/bin/sh': no program may be started here: its agent is granted no tool that runs one\n"
        async with pool.lease(confinement, session="s") as lease:
            process = await lease.processes.start("true", cwd=None, env={})
            await process.wait()
            assert (process.exit_status, process.output.decode()) == (126, said)

    run_pool(scenario)


def test_file_tools_work_where_no_program_starts(tmp_path: Path) -> None:
    """Reading, writing, patching and searching of the native engine need no other program."""
    calls = [
        ("write_file", {"path": "f.txt", "content": "one\ntwo\n"}),
        ("patch", {"path": "f.txt", "old_string": "two", "new_string": "three"}),
        ("read_file", {"path": "f.txt"}),
        ("search_files", {"pattern": "three"}),
        ("search_files", {"pattern": "*.txt", "target": "files"}),
    ]
    source = f"""
import json, os
from hermes_iso_sandbox.guest.tools.registry import Registry
from hermes_iso_sandbox.guest.tools.tool import Bench
names = ['read_file', 'write_file', 'patch', 'search_files']
registry = Registry(names, Bench(link, os.getcwd(), '/home/agent', []))
done = [registry.run(name, json.dumps(given)) for name, given in {calls!r}]
answer = json.dumps([[each.ok, each.text] for each in done])
"""

    async def scenario(pool: SandboxPool) -> None:
        done = json.loads(await answer_of(pool, simple_confinement(tmp_path / "a", execute=False), probe_request(source)))
        assert [ok for ok, _ in done] == [True] * len(calls), done
        assert "three" in done[2][1]
        assert "f.txt" in done[3][1]
        assert "f.txt" in done[4][1]

    run_pool(scenario)


@pytest.mark.parametrize(("workspace", "expected"), [(True, "written written written"), (False, "EROFS written written")])
def test_read_only_workspace_is_read_only(tmp_path: Path, workspace: bool, expected: str) -> None:
    """A bind that is not writable refuses by its mount; what is beside it can be written."""

    async def scenario(pool: SandboxPool) -> None:
        assert await answer_of(pool, two_places(tmp_path, workspace=workspace), probe_request(WRITES)) == expected

    run_pool(scenario)
    assert (tmp_path / "workspace" / "f").exists() is workspace


@needs_landlock
def test_narrowing_counts_for_its_turn_alone(tmp_path: Path) -> None:
    """Turns of one sandbox with, without and again with a narrowing each get exactly what they were sent."""
    confinement = two_places(tmp_path)
    less = Narrowing(execute=False, read_only=["/workspace"])
    source = WRITES.replace("answer = ", "first = ") + PROGRAMS.removeprefix(ATTEMPTS).replace(
        "answer = ", "answer = first + ' ' + "
    )

    async def scenario(pool: SandboxPool) -> None:
        await pool.warm(confinement)
        answers = [
            await answer_of(pool, confinement, probe_request(source, narrowing)) for narrowing in (None, less, None, less)
        ]
        whole, part = "written written written spawned executed from_memory", "EACCES written written EPERM EPERM EPERM"
        assert answers == [whole, part, whole, part]
        assert pool.statistics()["sandboxes"] == 1

    run_pool(scenario, limits=PoolLimits(spares=2))


UNDO = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
everything = (1 << 16) - 1
ruleset = libc.syscall(444, struct.pack('=Q', everything), ctypes.c_size_t(8), 0)
fd = os.open('/', os.O_PATH)
libc.syscall(445, ruleset, 1, struct.pack('=Qi', everything, fd), 0)
done = [f'landlock={libc.syscall(446, ruleset, 0)}']
allow = struct.pack('=HBBI', 6, 0, 0, 0x7FFF0000)
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_char_p)]
done.append(f'seccomp={libc.prctl(22, 2, ctypes.byref(Program(1, allow)), 0, 0)}')
done.append(f'mode={libc.prctl(22, 0, 0, 0, 0)}')
done += [tried('into_init', written('/proc/1/mem')), tried('remounted', lambda: os.listdir('/proc/1/root/workspace') and None)]
"""


@needs_landlock
def test_narrowed_turn_can_not_undo_it(tmp_path: Path) -> None:
    """Not by a generous ruleset or filter on top, nor by leaving seccomp, nor by its init: afterwards all is as before."""
    tries = WRITES.replace("answer = ", "first = ") + PROGRAMS.removeprefix(ATTEMPTS).replace("answer = ", "second = ")
    source = ATTEMPTS + UNDO + tries.removeprefix(ATTEMPTS) + "\nanswer = ' '.join([*done, first, second])"
    less = Narrowing(execute=False, read_only=["/workspace"])

    async def scenario(pool: SandboxPool) -> None:
        answer = await answer_of(pool, two_places(tmp_path), probe_request(source, less))
        assert answer.startswith("landlock=0 seccomp=0 mode=-1 EACCES"), answer
        assert answer.endswith("EACCES written written EPERM EPERM EPERM"), answer

    run_pool(scenario)


@needs_landlock
@pytest.mark.parametrize(
    ("target", "read_only"), [("/tmp/project", "/tmp/project"), ("/var/tmp/project", "/var/tmp/project"), ("/srv/p", "/srv")]
)
def test_read_only_path_is_so_wherever_it_lies(tmp_path: Path, target: str, read_only: str) -> None:
    """Also below /tmp, which is then read-only as a whole, and under a second name of it."""
    (tmp_path / "project").mkdir()
    confinement = Confinement(home=tmp_path, binds=(Bind(str(tmp_path / "project"), target, writable=True),), env=ENV, cwd="/")
    source = f"{ATTEMPTS}\nanswer = tried('written', written('{target}/f'))"

    async def scenario(pool: SandboxPool) -> None:
        assert await answer_of(pool, confinement, probe_request(source)) == "written"
        assert await answer_of(pool, confinement, probe_request(source, Narrowing(read_only=[read_only]))) == "EACCES"

    run_pool(scenario)


def test_init_of_a_command_is_out_of_its_reach(tmp_path: Path) -> None:
    """It has fewer layers than the program that it waits for, so nothing inside may look into it, write to it or end it."""
    source = """
import os
attempts = (
    lambda: open("/proc/1/mem", "r+b"),
    lambda: open("/proc/1/environ").read(1),
    lambda: os.listdir("/proc/1/root/"),
    lambda: os.readlink("/proc/1/exe"),
    lambda: os.readlink("/proc/1/ns/mnt"),
)
for attempt in attempts:
    try:
        attempt()
        print("reached", end=" ")
    except PermissionError:
        print("refused", end=" ")
os.kill(1, 9)
os.kill(1, 15)
print("lives")
"""

    async def scenario(pool: SandboxPool) -> None:
        assert await python_output(pool, simple_confinement(tmp_path / "a"), source) == "refused " * 5 + "lives\n"

    run_pool(scenario)
