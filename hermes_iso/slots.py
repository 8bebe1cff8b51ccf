"""Slots: how many turns run at a time, in all and of each agent, and who gets the next place.

A place that gets free goes to the agent that has the fewest turns, those that run and those that wait counted together; among
several it goes to whoever waits longest. So an agent with a thousand messages waiting never keeps one with a single message
from its turn. Nobody is passed over more than PASSED_OVER times. What people wait for comes before what a clock began.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType

import trio

from hermes_iso.messages import Inbound

PASSED_OVER = 16
"""How often one that waits sees another one that came later go first."""
PLACES = 64
"""Turns that run at a time where the config says nothing."""


class _Waiting:
    """Who waits for a place."""

    def __init__(self, agent: str, most: int | None, *, clock: bool) -> None:
        self.agent = agent
        self.most = most
        self.clock = clock
        self.passed_over = 0
        self.granted = trio.Event()


class Slots:
    """The places of one gateway."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._running: Counter[str] = Counter()
        self._waiting: list[_Waiting] = []

    @property
    def waiting(self) -> int:
        """How many turns wait for a place."""
        return len(self._waiting)

    def slot_of(self, inbound: Inbound, agent: str, most: int | None) -> FreeSlot:
        """Return the slot of a message's turn, to be entered. most: how many turns of the agent may run at a time.

        What one agent asks another is a part of the turn that asks, and needs no slot: else two could wait for each other.
        """
        return FREE_SLOT if inbound.via else Slot(self, agent, most, clock=inbound.clock)

    async def take(self, agent: str, most: int | None, *, clock: bool) -> None:
        """Wait for a place and hold it. Cancelling leaves the queue."""
        ticket = _Waiting(agent, most, clock=clock)
        self._waiting.append(ticket)
        self._grant()
        try:
            await ticket.granted.wait()
        except trio.Cancelled:
            if ticket.granted.is_set():
                self.give(agent)
            else:
                self._waiting.remove(ticket)
            raise

    def give(self, agent: str) -> None:
        """Give a place back."""
        self._running[agent] -= 1
        if not self._running[agent]:
            del self._running[agent]
        self._grant()

    def resize(self, places: int) -> None:
        """Have another number of places from now on; nobody loses one that is held."""
        self._places = places
        self._grant()

    def _grant(self) -> None:
        """Let those go for whom there is a place."""
        while self._running.total() < self._places and (ticket := self._next()) is not None:
            place = self._waiting.index(ticket)
            for earlier in self._waiting[:place]:
                earlier.passed_over += 1
            del self._waiting[place]
            self._running[ticket.agent] += 1
            ticket.granted.set()

    def _next(self) -> _Waiting | None:
        """Return whose turn it is among those whose agent has a place; None when there is nobody."""
        held = self._running + Counter(each.agent for each in self._waiting)
        able = [each for each in self._waiting if each.most is None or self._running[each.agent] < each.most]
        able = [each for each in able if not each.clock] or able
        waited = next((each for each in able if each.passed_over >= PASSED_OVER), None)
        return waited or min(able, key=lambda each: held[each.agent], default=None)


class FreeSlot:
    """The slot of a turn that needs none of its own: another turn waits for it, and holds one."""

    async def __aenter__(self) -> None:
        """Do nothing."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    @asynccontextmanager
    async def given_back(self) -> AsyncIterator[None]:
        """Do nothing: the turn that waits keeps its place."""
        yield


FREE_SLOT = FreeSlot()


class Slot(FreeSlot):
    """One turn's place: `async with slot:` holds it, `async with slot.given_back():` lets it go for a while."""

    def __init__(self, slots: Slots, agent: str, most: int | None, *, clock: bool) -> None:
        self._slots = slots
        self._most = most
        self._agent = agent
        self._clock = clock
        self._held = False
        self._away = 0

    async def __aenter__(self) -> None:
        """Wait for the place."""
        await self._slots.take(self._agent, self._most, clock=self._clock)
        self._held = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        if self._held:
            self._release()

    @asynccontextmanager
    async def given_back(self) -> AsyncIterator[None]:
        """Let others have the place while the turn waits for a person, and wait for one again before it goes on.

        Cancelling ends the wait, and the turn with it. Several that overlap count as one.
        """
        with self._absent():
            yield
        if not self._away and not self._held:
            await self._slots.take(self._agent, self._most, clock=self._clock)
            self._held = True

    @contextmanager
    def _absent(self) -> Iterator[None]:
        """Count who needs no place."""
        self._away += 1
        if self._held:
            self._release()
        try:
            yield
        finally:
            self._away -= 1

    def _release(self) -> None:
        self._held = False
        self._slots.give(self._agent)
