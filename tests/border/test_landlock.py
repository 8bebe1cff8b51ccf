"""Landlock as a turn meets it: a second word on every write, and nothing that ordinary programs would miss."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hermes_iso_sandbox import Confinement, SandboxPool
from hermes_iso_sandbox.guest import kernel, landlock
from tests.support.pools import ENV, output_of, python_output, run_pool, simple_confinement

pytestmark = pytest.mark.skipif(not landlock.find_abi(), reason="this kernel has no landlock")


class Mistaken(Confinement):
    """A confinement by which nothing of the agent's may be written, while its binds are mounted writable."""

    @property
    def writable(self) -> tuple[str, ...]:
        return ()


@pytest.mark.parametrize(("kind", "refused"), [(Confinement, False), (Mistaken, True)])
def test_write_is_refused_where_only_a_mount_allows_it(tmp_path: Path, kind: type[Confinement], refused: bool) -> None:
    """Every way to write fails in a directory that is mounted writable by mistake; where landlock lets them, they all work."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("old", "gone", "moved", "linked"):
        (home / name).write_text("as it was")
    script = """
    for try in 'echo x > new' 'echo x > old' 'rm gone' 'mkdir d' 'mv moved to' 'ln linked hard' 'ln -s a soft' 'mkfifo pipe' \\
        'truncate -s 0 linked'; do (eval "$try") 2>/dev/null && echo "done: $try"; done; cat old
    """

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(pool, kind(home=home, cwd="/home/agent", env=ENV), script)
        assert text.count("done:") == (0 if refused else 9), text
        assert text.endswith("as it was" if refused else "x\n")

    run_pool(scenario)
    assert (home / "gone").exists() is refused


def test_ordinary_programs_miss_nothing(tmp_path: Path) -> None:
    """Listing, statvfs, the places that a turn may write, moves between directories, devices and descriptors all work."""
    source = """
import os, socket, tempfile
os.listdir('/'); os.statvfs('/'); os.listdir('/proc/self/fd')
for place in ('/tmp', '/dev/shm', '/home/agent'):
    os.makedirs(f'{place}/a/b')
    with open(f'{place}/a/f', 'w') as file:
        file.write('text')
    os.rename(f'{place}/a/f', f'{place}/a/b/f'); os.link(f'{place}/a/b/f', f'{place}/a/hard'); os.truncate(f'{place}/a/hard', 1)
    os.mkfifo(f'{place}/a/pipe'); os.symlink('b', f'{place}/a/soft')
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f'{place}/a/sock'); server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f'{place}/a/sock')
for device in ('null', 'zero', 'full', 'urandom'):
    open(f'/dev/{device}', 'r+b', buffering=0).close()
open('/dev/null', 'w').isatty()
fd = os.memfd_create('m')
open(f'/proc/self/fd/{fd}', 'w').close()
read, write = os.pipe()
open(f'/proc/self/fd/{write}', 'w').close()
with tempfile.TemporaryFile() as file:
    file.write(b'x')
print('all')
"""

    async def scenario(pool: SandboxPool) -> None:
        assert await python_output(pool, simple_confinement(tmp_path / "a"), source) == "all\n"

    run_pool(scenario)


def test_proc_is_not_written_to(tmp_path: Path) -> None:
    """Files of /proc are mounted writable and can't be opened for it: not a process's own memory, nor its init's."""
    files = "/tmp/control /proc/self/comm /proc/self/mem /proc/1/mem /proc/self/oom_score_adj"

    async def scenario(pool: SandboxPool) -> None:
        script = f"for file in {files}; do (: >> $file) 2>/dev/null && echo $file; done; :"
        assert await output_of(pool, simple_confinement(tmp_path / "a"), script) == "/tmp/control\n"

    run_pool(scenario)


def status_of(function: Callable[[], int]) -> int:
    """Return what a function returns in a process of its own."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = function()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("abi", range(1, 8))
def test_every_abi_refuses_what_lies_outside(tmp_path: Path, abi: int) -> None:
    """With the rights of each ABI that this kernel has: writing works inside of a place, and not beside it; reading does."""
    if abi > landlock.find_abi():
        pytest.skip(f"this kernel has landlock ABI {landlock.find_abi()}")
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for place in (inside, outside):
        place.mkdir()
        (place / "file").write_text("text")

    def attempt() -> int:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        landlock.restrict([str(inside)], abi)
        (inside / "file").write_text("changed")
        try:
            (outside / "file").write_text("changed")
        except PermissionError:
            return len((outside / "file").read_text())
        return 0

    assert status_of(attempt) == len("text")
    assert (inside / "file").read_text() == "changed"
