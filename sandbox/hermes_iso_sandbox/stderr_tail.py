"""The end of what one turn process writes to its stderr: read as it comes, so that no writer waits, and mostly forgotten."""

from __future__ import annotations

import contextlib
import os

import anyio
import anyio.lowlevel

TAIL_BYTES = 8_000
MOST_BYTES = 64 << 20
"""Bytes that are read in all; a process that goes on writes into a pipe that nobody empties, until its time is up."""
READ_SIZE = 1 << 16


class StderrTail:
    """The host's end of a turn's stderr, and the guest's, which whoever passes it on closes here."""

    def __init__(self) -> None:
        self._fd, self.theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._fd, False)
        self._kept = bytearray()
        self._read = 0

    def text(self) -> str:
        """Return what it ended with so far."""
        self._take()
        return self._kept.decode(errors="replace")

    def close(self) -> None:
        """Let the pipe go; may be called again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            anyio.notify_closing(fd)
            os.close(fd)

    async def collect(self) -> None:
        """Read until nobody can write any more, or it is closed."""
        with contextlib.suppress(anyio.ClosedResourceError):
            while self._read < MOST_BYTES and self._fd >= 0:
                await anyio.wait_readable(self._fd)
                if not self._take():
                    return
                await anyio.lowlevel.checkpoint()

    def _take(self) -> bool:
        """Read what is there; False at the end."""
        if self._fd < 0:
            return False
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return True
        self._read += len(data)
        self._kept += data
        del self._kept[:-TAIL_BYTES]
        return bool(data)
