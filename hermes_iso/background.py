"""Background: a nursery for the helpers of one body of code, which end with it."""

from __future__ import annotations

from types import TracebackType

import trio


class Background:
    """A nursery for helpers of its body: `async with Background() as nursery`. Leaving cancels what still runs in it.

    An error of the body passes as it is, where a plain nursery would wrap it in a group and so hide it from callers.
    """

    def __init__(self) -> None:
        self._manager = trio.open_nursery()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> trio.Nursery:
        self._nursery = await self._manager.__aenter__()
        return self._nursery

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        if error is None or isinstance(error, Exception):
            await self._manager.__aexit__(None, None, None)
            return False
        return await self._manager.__aexit__(kind, error, trace)
