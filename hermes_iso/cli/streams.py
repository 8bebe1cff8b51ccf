"""The streams that `exec` gives to a command inside: its own, but pipes where one is a file of the operator's.

Whoever holds a descriptor of a file can open the file anew through /proc, for writing too, where its owner may. An agent that
runs as the gateway's own user is its owner. So a regular file never goes in; its content does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

PIECE = 1 << 20


@asynccontextmanager
async def guarded_streams() -> AsyncIterator[tuple[int, int, int]]:
    """Give stdin, stdout and stderr for a command; on leaving, all that it wrote has arrived."""
    given: list[int] = []
    async with trio.open_nursery() as nursery:
        try:
            for fd in (0, 1, 2):
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    given.append(os.dup(fd))
                    continue
                read, write = os.pipe()
                given.append(read if fd == 0 else write)
                source, target, own = (fd, write, write) if fd == 0 else (read, fd, read)
                nursery.start_soon(trio.to_thread.run_sync, _copy, source, target, own)
            yield given[0], given[1], given[2]
        finally:
            for fd in given:  # the other end of every pipe sees the end of it, and so each copy ends
                os.close(fd)


def _copy(source: int, target: int, own: int) -> None:
    """Copy to the end, then close the pipe's end that is ours."""
    try:
        _copy_all(source, target)
    finally:
        os.close(own)


def _copy_all(source: int, target: int) -> None:
    """Copy until the source ends or nobody reads any more."""
    with suppress(BrokenPipeError):
        while piece := os.read(source, PIECE):
            view = memoryview(piece)
            while view:
                view = view[os.write(target, view) :]
