"""Live: what a turn of the HTTP API shows while it runs, for anybody who looks, now or a little later."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import trio

from hermes_iso.messages import Outbound, Progress

MOST_PIECES = 4_000
"""Pieces of one turn that are kept for those who look later; the answer has what is left out."""
MOST_CHARS = 1 << 20
"""Characters of them."""


class Live:
    """What one turn has shown so far, and its end."""

    def __init__(self) -> None:
        self._pieces: list[Progress] = []
        self._chars = 0
        self._end: Outbound | None = None
        self._over = False
        self._news = trio.Event()

    async def show(self, progress: Progress) -> None:
        """Take something of the running turn."""
        self._chars += len(progress.text)
        if len(self._pieces) < MOST_PIECES and self._chars <= MOST_CHARS:
            self._pieces.append(progress)
            self._tell()

    def again(self) -> None:
        """Forget what was shown: the turn begins again."""
        self._pieces.clear()
        self._chars = 0

    def end(self, outbound: Outbound | None) -> None:
        """Take the turn's end, or that there is none in this life of the gateway. Only the first counts."""
        if not self._over:
            self._end, self._over = outbound, True
            self._tell()

    async def follow(self) -> AsyncGenerator[Progress | Outbound, None]:
        """Give what was shown, then what comes, and the end last, where there is one."""
        place = 0
        while True:
            news = self._news
            while place < len(self._pieces):
                place += 1
                yield self._pieces[place - 1]
            if self._over:
                if self._end is not None:
                    yield self._end
                return
            await news.wait()

    async def wait_end(self) -> None:
        """Wait for the end."""
        while not self._over:
            await self._news.wait()

    def _tell(self) -> None:
        """Wake those who look."""
        self._news.set()
        self._news = trio.Event()
