"""Steering: what people say to a turn while it runs, handed to its guest one by one, until the turn ends.

The guest takes a text in before its next call of the model and says so. Whoever said it waits for that: what a turn ended
without is not lost, its sender is told and can ask it as a turn of its own.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Protocol

import trio

from hermes_iso.errors import TurnError
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.errors import SandboxError

MOST_TEXTS = 8
"""Texts that a turn takes in all."""
TEXT_CHARS = 20_000
"""Characters of one."""


class Listener(Protocol):
    """Takes messages for a guest; a lease does."""

    async def send(self, message: wire.HostMessage) -> None:
        """Send a message. Raises SandboxError."""


class _Said:
    """One text, and whether it was taken once `settled` is set."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.taken = False
        self.settled = trio.Event()


class Steering:
    """The texts for one turn. `taken` are those that its guest took in, in order."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self._waiting: deque[_Said] = deque()
        self._sends, self._receives = trio.open_memory_channel[_Said](MOST_TEXTS)
        self._count = 0
        self._closed = False

    async def say(self, text: str) -> bool:
        """Say something to the turn; returns once it was taken (True) or the turn has ended without it (False).

        Raises TurnError: busy after MOST_TEXTS, too_long.
        """
        if len(text) > TEXT_CHARS:
            raise TurnError("too_long", f"A running turn takes {TEXT_CHARS} characters at a time, and these are {len(text)}.")
        if self._count >= MOST_TEXTS:
            raise TurnError("busy", f"This turn was told {MOST_TEXTS} things already: wait for its answer.")
        if self._closed:
            return False
        said = _Said(text)
        self._count += 1
        self._waiting.append(said)
        self._sends.send_nowait(said)
        await said.settled.wait()
        return said.taken

    async def pass_on(self, lease: Listener) -> None:
        """Send each text to the guest, for as long as the turn lasts."""
        async for said in self._receives:
            with suppress(SandboxError):
                await lease.send(wire.Steer(said.text))

    def settle_nowait(self) -> None:
        """Note that the guest took in the oldest text that waits. Raises TurnError(protocol) when none does."""
        if not self._waiting:
            raise TurnError("protocol", "The agent's process took in something that nobody had said.")
        said = self._waiting.popleft()
        self.taken.append(said.text)
        said.taken = True
        said.settled.set()

    def close(self) -> None:
        """End it: what was not taken will not be."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().settled.set()
