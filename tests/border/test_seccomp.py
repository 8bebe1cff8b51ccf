"""The system call filter as a turn meets it."""

import errno
from pathlib import Path

import pytest

from hermes_iso_sandbox import SandboxPool
from tests.support.pools import output_of, python_output, run_pool, simple_confinement

CALL = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
result = libc.syscall({call})
print(ctypes.get_errno() if result < 0 else 'done')
"""


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("101, 0, 0, 0, 0", errno.EPERM),  # ptrace(PTRACE_TRACEME)
        ("272, 0x10000000", errno.EPERM),  # unshare(CLONE_NEWUSER)
        ("435, 0, 0", errno.ENOSYS),  # clone3
        ("250, 0, -3, 0, 0", errno.EPERM),  # keyctl
        ("425, 1, 0", errno.EPERM),  # io_uring_setup
        ("428, -100, b'/', 1", errno.ENOSYS),  # open_tree
        ("464, 0, 0, 0, 0", errno.ENOSYS),  # getxattrat, newer than was reviewed
        ("0x40000000 + 39", errno.ENOSYS),  # getpid by its x32 number
        ("41, 38, 5, 0", errno.EAFNOSUPPORT),  # socket(AF_ALG)
        ("41, 16, 3, 12", errno.EAFNOSUPPORT),  # socket(AF_NETLINK, NETLINK_NETFILTER)
        ("206, 1, b'x' * 8", errno.ENOSYS),  # io_setup: a few would use up the whole machine's
        ("72, 0, 1024, 1", errno.EPERM),  # fcntl(F_SETLEASE): it holds up whoever opens the file, on the host too
        ("72, 0, 1", "done"),  # fcntl(F_GETFD)
        ("39", "done"),  # getpid
    ],
)
@pytest.mark.skipif("__import__('platform').machine() != 'x86_64'", reason="the numbers are those of x86-64")
def test_call_meets_the_filter(tmp_path: Path, call: str, expected: int | str) -> None:
    """The kernel gives the filter's verdict."""

    async def scenario(pool: SandboxPool) -> None:
        assert await python_output(pool, simple_confinement(tmp_path / "a"), CALL.format(call=call)) == f"{expected}\n"

    run_pool(scenario)


def test_no_setuid_file_can_be_left_on_the_host(tmp_path: Path) -> None:
    """Whatever way it is tried, a file in the home has no setuid or setgid bit afterwards."""
    source = """
import os
open('f', 'w').close()
for attempt in (
    lambda: os.chmod('f', 0o4755),
    lambda: os.close(os.open('g', os.O_CREAT | os.O_WRONLY, 0o4755)),
    lambda: os.mknod('h', 0o104755),
    lambda: os.mkdir('d', 0o2755),
):
    try:
        attempt()
    except OSError as error:
        print(error.errno)
"""
    home = tmp_path / "a"

    async def scenario(pool: SandboxPool) -> None:
        await python_output(pool, simple_confinement(home), source)
        await output_of(
            pool, simple_confinement(home), "cp -p /bin/true t; chmod u+s t; install -m 4755 /bin/true i", status=None
        )

    run_pool(scenario)
    assert [path.name for path in home.iterdir() if path.stat().st_mode & 0o6000] == []


def test_filter_is_on_and_ordinary_tools_work(tmp_path: Path) -> None:
    """Seccomp mode 2, and shells, pipes, tar, git and Python run."""
    script = """
    grep Seccomp: /proc/self/status
    mkdir -p d && echo text > d/f && tar cf d.tar d && tar xOf d.tar d/f
    git init -q r 2>&1 && cd r && git -c user.name=n -c user.email=e commit -q --allow-empty -m m && git log --oneline | wc -l
    python3 -c "import subprocess, threading, multiprocessing, tempfile, socket; print(subprocess.getoutput('echo deep'))"
    seq 1000 | sort -rn | xargs -n 100 -P 4 echo | wc -l
    """

    async def scenario(pool: SandboxPool) -> None:
        text = await output_of(pool, simple_confinement(tmp_path / "a"), script)
        assert text.split() == ["Seccomp:", "2", "text", "1", "deep", "10"]

    run_pool(scenario)
