"""Lanes: which message may go next. Pure: messages of one lane go one after the other, in the order they came."""

from __future__ import annotations

from collections import deque


class Lanes:
    """The messages that wait and those that were let go and have not ended; each is known by a number."""

    def __init__(self) -> None:
        self._ready: deque[int] = deque()
        self._waiting: dict[str, deque[int]] = {}
        self._lane: dict[int, str | None] = {}

    def __len__(self) -> int:
        """How many messages there are, those that were let go included."""
        return len(self._lane)

    @property
    def waiting(self) -> int:
        """How many were not let go yet."""
        return len(self._ready) + sum(map(len, self._waiting.values()))

    def waiting_in(self, lane: str) -> int:
        """Return how many wait in a lane behind the one that was let go."""
        return len(self._waiting.get(lane, ()))

    def add(self, number: int, lane: str, *, at_once: bool = False) -> None:
        """Add a message; one that goes at once does not wait for those before it, and holds nothing up."""
        self._lane[number] = None if at_once else lane
        if at_once:
            self._ready.append(number)
        elif lane in self._waiting:
            self._waiting[lane].append(number)
        else:
            self._waiting[lane] = deque()
            self._ready.append(number)

    def next(self) -> int | None:
        """Let the next message go; None when there is none that may."""
        return self._ready.popleft() if self._ready else None

    def end(self, number: int) -> None:
        """Take a message away that was let go: the next one of its lane may go."""
        lane = self._lane.pop(number)
        if lane is None:
            return
        if self._waiting[lane]:
            self._ready.append(self._waiting[lane].popleft())
        else:
            del self._waiting[lane]

    def remove(self, number: int) -> bool:
        """Take a message away that still waits; returns whether it did."""
        lane = self._lane.get(number)
        if lane is not None and number in self._waiting[lane]:
            self._waiting[lane].remove(number)
            del self._lane[number]
            return True
        if number in self._ready:
            self._ready.remove(number)
            self.end(number)
            return True
        return False
