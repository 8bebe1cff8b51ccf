"""Run a scenario against a real pool, on either async library."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio

from hermes_iso_sandbox import Confinement, PoolLimits, SandboxPool, wire
from hermes_iso_sandbox.identity import HOST_UIDS

PR_SET_CHILD_SUBREAPER = 36
ENV = (("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/home/agent"), ("LANG", "C.UTF-8"))


def simple_confinement(home: Path, **changes: object) -> Confinement:
    """Return a confinement that shows one directory, writable, as its home."""
    home.mkdir(exist_ok=True)
    return Confinement(home=home, **{"cwd": "/home/agent", "env": ENV, **changes})  # type: ignore[arg-type]


def echo_request(text: str = "hello", turn_id: str = "t1") -> wire.TurnRequest:
    """Return a request for the engine that answers with what it was asked."""
    return wire.TurnRequest(turn_id, "agent", "key", "session", text, [], "", "", [], 5, "echo")


def probe_request(source: str, narrowing: wire.Narrowing | None = None) -> wire.TurnRequest:
    """Return a request that runs Python in the turn process itself and answers with what it leaves in `answer`."""
    return wire.TurnRequest("t", "agent", "key", "session", source, [], "", "", [], 5, "probe", narrowing or wire.Narrowing())


def run_pool(
    scenario: Callable[[SandboxPool], Awaitable[None]],
    backend: str = "trio",
    limits: PoolLimits | None = None,
    uids: range = HOST_UIDS,
) -> None:
    """Run `scenario` with an open pool."""

    async def main() -> None:
        async with SandboxPool(limits=limits or PoolLimits(), uids=uids) as pool:
            await scenario(pool)

    anyio.run(main, backend=backend)


async def output_of(pool: SandboxPool, confinement: Confinement, script: str, status: int | None = 0) -> str:
    """Run a shell script in the sandbox that a turn gets; return its output, asserting its exit status."""
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    chunks: list[bytes] = []

    async def collect() -> None:
        while True:
            await anyio.wait_readable(read)
            data = os.read(read, 1 << 16)
            if not data:
                return
            chunks.append(data)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect)
            got = await pool.run_command(confinement, ["/bin/sh", "-c", script], stdio=(null, write, write), timeout=60)
            os.close(write)
            write = -1
    finally:
        os.close(read)
        os.close(null)
        if write >= 0:
            os.close(write)
    text = b"".join(chunks).decode(errors="replace")
    assert status is None or got == status, (got, text)
    return text


async def python_output(pool: SandboxPool, confinement: Confinement, source: str) -> str:
    """Run Python source in the sandbox with the interpreter that the guest runs on."""
    (confinement.home / "probe.py").write_text(source, encoding="utf-8")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return await output_of(pool, confinement, f"P=/opt/python/bin/python{version}; [ -x $P ] || P=python3; $P -I probe.py 2>&1")


def living(marker: str) -> list[int]:
    """Return the pids of this machine whose command line holds `marker`, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def descendants(pid: int) -> set[int]:
    """Return the pids of all that a process has started, and what those have."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found, fresh = set(), {pid}
    while fresh:
        found |= fresh
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
    return found - {pid}


def named(name: str) -> set[int]:
    """Return the pids of this process's descendants with a name as the kernel keeps it."""
    found = set()
    for pid in descendants(os.getpid()):
        try:
            if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                found.add(pid)
        except OSError:
            continue
    return found


@contextlib.contextmanager
def adopted_orphans() -> Iterator[Callable[[], set[int]]]:
    """Become the parent of orphaned descendants; give a function that reaps the dead ones and returns those that live."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = descendants(os.getpid())
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0

    def living_orphans() -> set[int]:
        for pid in descendants(os.getpid()) - before:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return descendants(os.getpid()) - before

    try:
        yield living_orphans
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
