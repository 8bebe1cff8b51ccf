"""What a tree of processes costs: its memory and its processor time, as the kernel counts them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from hermes_iso.bench_turns.processes import memory_of

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float]:
    """Return the parent of a process, and its seconds of processor time with those of the dead that it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[1]), sum(int(each) for each in fields[11:15]) / _TICK


def tree(roots: set[int]) -> dict[int, float]:
    """Return the living processes from `roots` down, with the processor time of each."""
    parents: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, IndexError):
                parent, seconds[int(entry)] = _stat(int(entry))
                parents.setdefault(parent, []).append(int(entry))
    found: dict[int, float] = {}
    fresh = [pid for pid in roots if pid in seconds]
    while fresh:
        found.update({pid: seconds[pid] for pid in fresh})
        fresh = [child for pid in fresh for child in parents.get(pid, ()) if child not in found]
    return found


def cpu_seconds(roots: set[int]) -> float:
    """Return the processor time of the trees so far."""
    return sum(tree(roots).values())


def pss_mb(roots: set[int]) -> float:
    """Return the megabytes that the trees hold, what is shared counted in part to each process."""
    return memory_of(set(tree(roots))) / 1e6


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """End a process that leads its own group: politely, then with all that is left below it."""
    below = set(tree({process.pid}))
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    for pid in below & set(tree(below)):
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.05)
