"""Running: a program that runs in a sandbox with its streams, as `SandboxPool.exec` gives it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from hermes_iso_sandbox.errors import SandboxError

READ_SIZE = 1 << 16


class _Pipe:
    """The host's end of a pipe."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd

    def close(self) -> None:
        """Let it go: a program finds the end of its input, or that nobody reads."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            anyio.notify_closing(fd)
            os.close(fd)


class Output(_Pipe, AsyncIterator[bytes]):
    """What a program writes, in the pieces in which it comes; it waits when nobody reads."""

    async def __anext__(self) -> bytes:
        """Return the next piece."""
        if data := await self.receive():
            return data
        raise StopAsyncIteration

    async def receive(self, most: int = READ_SIZE) -> bytes:
        """Return up to `most` bytes, b"" at the end."""
        await anyio.lowlevel.checkpoint()
        while self._fd >= 0:
            try:
                return os.read(self._fd, most)
            except BlockingIOError:
                await anyio.wait_readable(self._fd)
        return b""


class Input(_Pipe):
    """What a program reads."""

    async def send(self, data: bytes) -> None:
        """Write all of `data`. Raises BrokenPipeError when nobody reads any more."""
        await anyio.lowlevel.checkpoint()
        view = memoryview(data)
        while view:
            if self._fd < 0:
                raise BrokenPipeError("This input is closed.")
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                await anyio.wait_writable(self._fd)


class Running:
    """A program that runs. Use it in `async with`: on leaving, every process of it is dead."""

    def __init__(self, streams: tuple[int, int, int]) -> None:
        self.stdin = Input(streams[0])
        self.stdout = Output(streams[1])
        self.stderr = Output(streams[2])
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()
        self._status: int | None = None
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def wait(self) -> int:
        """Wait for its end and return its status as a shell shows it.

        Raises GuestTimeoutError when its time was up, SandboxError.
        """
        await self._ended.wait()
        if self._error is not None:
            raise self._error
        if self._status is None:
            raise SandboxError("The program was ended before its end.")
        return self._status

    async def aclose(self) -> None:
        """End it and let its streams go; returns when every process of it is dead, whatever cancels us."""
        self._scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            stream.close()

    @contextlib.contextmanager
    def watched(self, theirs: tuple[int, int, int]) -> Iterator[Callable[[int], None]]:
        """Hold the program's run in the body, which calls what this gives with its status. theirs: its ends."""

        def ended(status: int) -> None:
            self._status = status

        try:
            with self._scope:
                yield ended
        except Exception as error:  # noqa: BLE001  # it is the caller's: raised by wait()
            self._error = error
        finally:
            for fd in theirs:
                os.close(fd)
            self._ended.set()


def open_pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return the host's ends and the program's ends of three pipes. Raises SandboxError."""
    ends: list[int] = []
    try:
        for _ in range(3):
            ends += os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        for fd in ends:
            os.close(fd)
        raise SandboxError(f"No process can be had: {error.strerror}.") from error
    return (ends[1], ends[2], ends[4]), (ends[0], ends[3], ends[5])
