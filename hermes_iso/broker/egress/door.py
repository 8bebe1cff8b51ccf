"""Door: one turn's way out. Its listener is its identity: who connects is that turn, and with the turn all of it ends."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import h11
import trio

from hermes_iso.broker.egress.dialing import Dialer
from hermes_iso.broker.egress.heads import Headers, Target
from hermes_iso.broker.egress.rules import EgressRules, Verdict

Record = Callable[[dict[str, Any]], None]
"""Takes what became of one request or tunnel; called at most `DoorLimits.total` times. It must not wait and not raise."""


class LocalExchange(Protocol):
    """A request for the gateway itself, and its answer: what `Door.local` is given."""

    @property
    def request(self) -> h11.Request:
        """Method, target and headers."""

    async def receive(self) -> bytes:
        """Return the next bytes of the body, none at its end."""

    async def start(self, status: int, headers: Headers, data: bytes = b"") -> None:
        """Send the head of the answer, in one go with the first bytes of its body if there are any."""

    async def send(self, data: bytes) -> None:
        """Send bytes of the answer's body."""

    async def answer(self, status: int, sentence: str) -> None:
        """Send a whole answer of one sentence."""


LocalHandler = Callable[[LocalExchange], Awaitable[None]]


async def nothing_here(exchange: LocalExchange) -> None:
    """Answer every request for the gateway itself: there is nothing."""
    await exchange.answer(404, "There is nothing at this address: this is a proxy, for http:// URLs and CONNECT.")


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What one door allows; times in seconds.

    connections: at once. total: connections, and further requests on them, over the door's life. bytes: both ways together.
    head_timeout: for a request's head, once begun. idle_timeout: without a byte either way.
    """

    connections: int = 32
    total: int = 1000
    bytes: int = 1 << 30
    head_timeout: float = 10.0
    idle_timeout: float = 60.0


@dataclass(slots=True)
class Usage:
    """What went through a door so far. open: connections now; total: see DoorLimits; refused: requests that were."""

    open: int = 0
    total: int = 0
    refused: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass(eq=False, slots=True)
class Door:
    """One turn's way out: who it is, what it may reach, and what it has used.

    record: see Record. deadline: by trio's clock. local: answers requests for the gateway itself: those whose target names no
    host, and those for a name in `virtual`.
    """

    agent: str
    turn: str
    rules: EgressRules
    record: Record
    dialer: Dialer = field(default_factory=Dialer)
    limits: DoorLimits = field(default_factory=DoorLimits)
    deadline: float = math.inf
    local: LocalHandler = nothing_here
    virtual: frozenset[str] = frozenset()
    usage: Usage = field(default_factory=Usage)
    passing: set[Passage] = field(default_factory=set, init=False)
    """What was let through and goes on."""

    def swap(self, rules: EgressRules) -> None:
        """Put other rules in place of these; what is going on and is no longer allowed ends at once."""
        self.rules = rules
        for passage in list(self.passing):
            if not passage.local and not passage.decide().allowed:
                passage.end("the rules have changed")

    def spend(self) -> bool:
        """Count one more connection or request; return False when there were as many as may be."""
        if self.usage.total >= self.limits.total:
            return False
        self.usage.total += 1
        return True

    @property
    def used_up(self) -> bool:
        """Whether more bytes than may be were to go through."""
        return self.usage.bytes_up + self.usage.bytes_down > self.limits.bytes

    def count(self, *, up: int = 0, down: int = 0) -> None:
        """Count bytes; the one too many ends everything that is going on."""
        self.usage.bytes_up += up
        self.usage.bytes_down += down
        if self.used_up:
            for passage in list(self.passing):
                passage.end(f"the {self.limits.bytes} bytes of the turn's door are used up")


class Passage:
    """One request or tunnel through a door, from its first decision to its record: `with Passage(…) as passage`.

    A cancel scope over all of it ends it when nothing moves for too long, when the rules change and when bytes run out.
    `target` None: the request could not be read. head: its bytes that were read and counted before.
    """

    def __init__(self, door: Door, method: str, target: Target | None, *, head: int = 0) -> None:
        self.local = False
        self._door = door
        self._method = method
        self._target = target
        self._rule = self._reason = ""
        self._outcome = "cut"
        self._scope = trio.CancelScope()
        self._idle = door.limits.idle_timeout
        self._began = trio.current_time()
        self._up, self._down = head, 0

    def decide(self) -> Verdict:
        """Return what the door's rules of now say."""
        target = self._target
        assert target is not None
        if target.kind == "tunnel":
            verdict = self._door.rules.decide(target.host, target.port)
        else:
            verdict = self._door.rules.decide(target.host, target.port, self._method, target.path)
        self._rule = verdict.rule
        if verdict.allowed:
            self._door.passing.add(self)
        return verdict

    def becomes(self, outcome: str, reason: str = "") -> None:
        """Set what the record says: allowed, refused, failed, cut or malformed; and why."""
        self._outcome, self._reason = outcome, reason

    def becomes_local(self) -> None:
        """Leave it to the gateway itself, which keeps its own deadlines."""
        self.becomes("local")
        self.local = True
        self._idle = self._scope.deadline = math.inf
        self._door.passing.add(self)

    def moved(self, *, up: int = 0, down: int = 0) -> None:
        """Count bytes of this passage, and give it time again."""
        self._up += up
        self._down += down
        self._scope.deadline = trio.current_time() + self._idle
        self._door.count(up=up, down=down)

    def end(self, reason: str) -> None:
        """Cut it off."""
        self.becomes("cut", reason)
        self._scope.cancel()

    def __enter__(self) -> Self:
        self._scope.__enter__()
        self._scope.deadline = trio.current_time() + self._idle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        caught = self._scope.__exit__(kind, error, trace)
        self._door.passing.discard(self)
        if kind is not None and self._outcome in ("allowed", "cut"):
            self.becomes("cut", self._reason or self._why(caught))
        if self._outcome == "refused":
            self._door.usage.refused += 1
        self._door.record(self._event())
        return caught

    def _why(self, caught: bool | None) -> str:
        """Say why what was allowed did not end by itself."""
        return f"nothing moved for {self._idle:g} seconds" if caught else "the turn or its client has gone"

    def _event(self) -> dict[str, Any]:
        """Return the record: no path, no query and no header, for they may hold secrets."""
        target = self._target
        return {
            "agent": self._door.agent,
            "turn": self._door.turn,
            "host": target.host if target else "",
            "port": target.port if target else 0,
            "method": self._method,
            "verdict": self._outcome,
            "rule": self._rule,
            "reason": self._reason,
            "bytes_up": self._up,
            "bytes_down": self._down,
            "seconds": round(trio.current_time() - self._began, 4),
        }
