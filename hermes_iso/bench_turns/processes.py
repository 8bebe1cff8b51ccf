"""The processes below this one, as the kernel tells them: who lives, what memory they hold, and whether any was left."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_iso.bench_turns.exchange import BenchmarkError
from hermes_iso.errors import UnsupportedError

_PR_SET_CHILD_SUBREAPER = 36
_GONE_TIMEOUT = 2.0
"""Seconds for a process that has been told to end: one of bwrap's own may still be on its way out."""


def descendants() -> set[int]:
    """Return the pids of all that this process has started, and what those have; the dead do not count."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError):
                state, parent = Path("/proc", entry, "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    children.setdefault(int(parent), []).append(int(entry))
    found: set[int] = set()
    fresh = [os.getpid()]
    while fresh:
        fresh = [child for parent in fresh for child in children.get(parent, ())]
        found.update(fresh)
    return found


def memory_of(pids: set[int]) -> int:
    """Return the bytes that processes hold, what they share counted in part to each (PSS); the dead hold nothing.

    Raises UnsupportedError when the kernel does not tell.
    """
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            message = f"The memory of process {pid} can't be read ({error.strerror}): run this as root, or leave memory out."
            raise UnsupportedError(message) from error
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
    return total


@contextmanager
def nothing_left() -> Iterator[None]:
    """Check on leaving that no process lives that was started meanwhile. Raises BenchmarkError, naming those that do.

    Meanwhile orphans come to this process instead of to init, so that none gets out of sight.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = descendants()
    try:
        yield
        deadline = time.monotonic() + _GONE_TIMEOUT
        while (left := descendants() - before) and time.monotonic() < deadline:
            time.sleep(0.01)
        if left:
            raise BenchmarkError(f"{len(left)} processes were left when everything had ended: {sorted(left)[:10]}.")
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
