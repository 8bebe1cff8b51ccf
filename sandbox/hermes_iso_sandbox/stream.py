"""Stream: the values that a function yields in its sandbox, as they come.

The call lives in a task of the pool and not in the generator that a caller iterates over: a lease holds cancel scopes, and
those must not stay open across the steps of somebody else's loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream


class Stream(AsyncIterator[Any]):
    """Iterate over it with `async for`; leaving `async with` ends the call. It waits when nobody takes its values."""

    def __init__(self, values: MemoryObjectReceiveStream[Any]) -> None:
        self._values = values
        self._scope = anyio.CancelScope()
        self._ended = anyio.Event()
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __anext__(self) -> Any:
        """Return the next value. Raises what `SandboxPool.run` raises."""
        try:
            return await self._values.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._ended.wait()
            self._values.close()
            if self._error is not None:
                error, self._error = self._error, None
                raise error from None
            raise StopAsyncIteration from None

    @contextlib.asynccontextmanager
    async def filled(self, values: MemoryObjectSendStream[Any]) -> AsyncIterator[None]:
        """Hold the call in the body, which sends its values, and keep what ends it for whoever asks for the next one."""
        try:
            with self._scope:
                async with values:
                    yield
        except Exception as error:  # noqa: BLE001  # it is the caller's: raised by the next step of the iteration
            self._error = error
        finally:
            self._ended.set()

    async def aclose(self) -> None:
        """End the call; returns when every process of it is dead, whatever cancels us."""
        self._scope.cancel()
        self._values.close()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
