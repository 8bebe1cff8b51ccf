"""What turns need of a sandbox pool, as protocols that the pool and its leases satisfy, and how a turn on a lease is ended."""

from __future__ import annotations

import math
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Protocol, TypeAlias

import structlog
import trio

from hermes_iso.agents import Agent
from hermes_iso.errors import ConfigError, TurnError
from hermes_iso.steering import Steering
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError

Prepare: TypeAlias = Callable[[Agent], Awaitable[Agent]]
"""Returns an agent with all that its sandbox needs to know; see `hermes.preparing`. Raises TurnError."""


class LeaseLike(Protocol):
    """The exclusive right to one turn process."""

    @property
    def processes(self) -> Any:
        """The background processes of the lease's session; see `broker.capabilities.ProcessesLike`."""

    async def send(self, message: wire.HostMessage) -> None:
        """Send a message. Raises GuestDiedError."""

    async def receive(self) -> Any:
        """Return the next wire.GuestMessage. Raises SandboxError."""

    async def take_door(self) -> socket.socket | None:
        """Return the listener of the turn's door, to be served and closed; None when there is none."""


class PoolLike(Protocol):
    """Leases turn processes."""

    def lease(self, confinement: Confinement, *, session: str) -> AbstractAsyncContextManager[LeaseLike]:
        """Lease a fresh turn process; leaving ends everything of the turn. Raises SandboxError."""

    async def ground(self, confinement: Confinement) -> None:
        """Start what sandboxes with the same interpreter and engine stand on. Raises SandboxError."""

    async def warm(self, confinement: Confinement) -> None:
        """Make a sandbox ahead of its first turn. Raises SandboxError."""


class Leash:
    """What others can do to a turn that runs: cancel `scope`; set `interrupt`, after which it has `grace` seconds; `steering`.

    leased: whether the turn has its process; until then there is nobody to interrupt.
    patience: seconds that it waits for a turn process at most, where that is less than its timeout. waits: whether it does now.
    """

    def __init__(self, timeout: float, grace: float, patience: float = math.inf) -> None:
        self.grace = grace
        self.scope = trio.CancelScope(deadline=trio.current_time() + timeout)
        self.interrupt = trio.Event()
        self.steering = Steering()
        self.leased = False
        self.waits = False
        self._patience = patience
        self._deadline = self.scope.deadline
        self._pauses = 0
        self._left = 0.0

    def wait_for_place(self) -> None:
        """Let patience count until there is a turn process."""
        end = trio.current_time() + self._patience
        self.waits = end < self._deadline
        self.scope.deadline = min(self._deadline, end)

    def take_place(self) -> None:
        """Let the timeout alone count from now on."""
        self.waits, self.leased = False, True
        self.scope.deadline = self._deadline

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time count while the body runs; may be entered several times at once. An interrupt's grace counts."""
        self._pauses += 1
        if self._pauses == 1:
            self._left = self.scope.deadline - trio.current_time()
            self.scope.deadline = self.scope.deadline if self.interrupt.is_set() else math.inf
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self.scope.deadline = min(self.scope.deadline, trio.current_time() + self._left)

    async def pass_on_interrupt(self, lease: LeaseLike) -> None:
        """Wait for an interrupt, tell the guest, and give it a moment to end by itself."""
        await self.interrupt.wait()
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + self.grace)
        with suppress(SandboxError):
            await lease.send(wire.Interrupt("asked to stop"))


async def send_request(lease: LeaseLike, request: wire.TurnRequest) -> None:
    """Send a turn's request. Raises TurnError(too_long) when it fits in no frame, SandboxError."""
    try:
        await lease.send(request)
    except wire.WireError as error:
        raise TurnError("too_long", "The message is too long for one turn: send less text.") from error


async def as_it_is(agent: Agent) -> Agent:
    """Return an agent that needs no preparation."""
    return agent


async def warm_ahead(pool: PoolLike, agents: Sequence[Agent], prepare: Prepare = as_it_is) -> None:
    """Make the agents' sandboxes, one after the other; what fails here is logged and will fail its turns with a sentence.

    What they stand on is started meanwhile: a template of an engine takes as long as all the rest, and waits for no agent.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_ground, pool, agents)
        for agent in agents:
            try:
                await pool.warm((await prepare(agent)).confinement())
            except (ConfigError, SandboxError) as error:
                structlog.get_logger().warning("sandbox_not_warmed", agent=agent.id, reason=str(error))


async def _ground(pool: PoolLike, agents: Sequence[Agent]) -> None:
    """Start one of each kind of template that the agents' sandboxes will be forked from."""
    kinds = {(agent.engine, agent.hermes and agent.hermes.python): agent for agent in agents}
    async with trio.open_nursery() as nursery:
        for agent in kinds.values():
            nursery.start_soon(_ground_of, pool, agent)


async def _ground_of(pool: PoolLike, agent: Agent) -> None:
    """Start the template for an agent's sandbox; what fails is told when that is made."""
    with suppress(ConfigError, SandboxError):
        await pool.ground(agent.confinement())
