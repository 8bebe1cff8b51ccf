"""TurnRunner: one turn in, one Outcome out. Leases a process for it, keeps its time, and tells every failure in one sentence.

The other end of a lease is hostile by assumption. What it says is only ever text that is shown, a call that is answered after a
check, or an end; see `conversation`, `guest_calls` and `outcomes`. Whatever ends a turn, its processes are dead before `run`
returns or raises.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn, Protocol

import structlog
import trio

from hermes_iso.broker.door import Hooks, ModelDoor, Models, ToolHooks
from hermes_iso.errors import ConfigError, TurnError
from hermes_iso.exchange import MoreBrokers, exchange
from hermes_iso.leases import LeaseLike, Leash, PoolLike, Prepare, as_it_is
from hermes_iso.outcomes import Outcome, failed, outcome_of, said_instead, translated
from hermes_iso.subagents import delegation
from hermes_iso.work import Work
from hermes_iso_sandbox.errors import SandboxError

INTERRUPT_GRACE = 5.0
"""Seconds that a turn has to end by itself after an interrupt."""
STOPPED_RETRY = 5.0
"""Seconds after which to try again when the gateway stopped."""
_STOPPED = "The gateway stopped before this turn ended: ask again in a moment."
PLACE_TIMEOUT = 30.0
"""Seconds that a subagent waits for a place in its agent's sandbox: those who hold the places may be waiting for theirs."""


@dataclass(frozen=True, slots=True, eq=False)
class _Running:
    """A turn that runs, what others can do to it, and its way to the model."""

    work: Work
    leash: Leash
    door: ModelDoor


def _none(work: Work) -> Mapping[str, NoReturn]:  # noqa: ARG001  # the form of MoreBrokers
    """Make no further broker."""
    return {}


class ServeDoors(Protocol):
    """Serves the door of a turn; `doors.Doors.beside` does."""

    def __call__(self, work: Work, lease: LeaseLike, *, models: ModelDoor) -> AbstractAsyncContextManager[None]:
        """Serve it while the body runs. models: the turn's way to its model."""


@asynccontextmanager
async def _closed(
    work: Work,  # noqa: ARG001  # see ServeDoors
    lease: LeaseLike,  # noqa: ARG001
    *,
    models: ModelDoor,  # noqa: ARG001
) -> AsyncIterator[None]:
    """Serve no door."""
    yield


class TurnRunner:
    """Runs turns; one per gateway, any number at once."""

    def __init__(
        self,
        pool: PoolLike,
        models: Models,
        *,
        hooks: Hooks | None = None,
        more: MoreBrokers = _none,
        doors: ServeDoors = _closed,
        prepare: Prepare = as_it_is,
        interrupt_grace: float = INTERRUPT_GRACE,
    ) -> None:
        self._pool = pool
        self._models = models
        self._hooks = hooks or Hooks()
        self._more = more
        self._doors = doors
        self._prepare = prepare
        self._grace = interrupt_grace
        self._running: set[_Running] = set()
        self._queued: dict[trio.CancelScope, Work] = {}
        self._stopped = False
        self._log = structlog.get_logger()

    @property
    def running(self) -> int:
        """How many turns run now."""
        return len(self._running)

    def running_of(self, agent: str) -> int:
        """Return how many turns of an agent run now."""
        return sum(each.work.agent.id == agent for each in self._running)

    def works(self) -> list[Work]:
        """Return the turns that run now or wait for a place to, with what each has."""
        return [*(each.work for each in self._running), *self._queued.values()]

    def interrupt(self, turn_id: str) -> None:
        """Ask a turn to stop soon; one that goes on is ended after its grace, and one without a process at once."""
        for scope, work in self._queued.items():
            if work.turn.turn_id == turn_id:
                scope.cancel()
        for each in self._running:
            if each.work.turn.turn_id == turn_id:
                each.leash.interrupt.set()
                if not each.leash.leased:
                    each.leash.scope.cancel()

    async def steer(self, turn_id: str, text: str) -> bool:
        """Say something to a turn as its user; returns whether it was taken in before the turn's end.

        Raises TurnError: busy when the turn was told too much, too_long.
        """
        found = next((each for each in self._running if each.work.turn.turn_id == turn_id), None)
        return found is not None and await found.leash.steering.say(text)

    def stop(self) -> None:
        """End every turn that runs, and refuse those that would begin."""
        self._stopped = True
        for scope in self._queued:
            scope.cancel()
        for each in self._running:
            each.leash.scope.cancel()

    async def run(self, work: Work) -> Outcome:
        """Take a turn to its end. Never raises for a failed turn; cancelling ends its processes, then passes.

        The time that it waits for its slot is not the turn's own.
        """
        if work.ledger.instead:
            return said_instead(work.ledger.instead)
        async with AsyncExitStack() as stack:
            with trio.CancelScope() as scope:
                self._queued[scope] = work
                try:
                    await stack.enter_async_context(work.slot)
                finally:
                    del self._queued[scope]
            if scope.cancelled_caught:
                stopped = TurnError("draining", _STOPPED, STOPPED_RETRY) if self._stopped else None
                return failed(stopped or TurnError("interrupted", "The turn was stopped."))
            await work.ledger.running()
            return await self._run(work, Leash(work.agent.turn_timeout, self._grace), self._models)

    async def _run_below(self, above: _Running, work: Work) -> Outcome:
        """Take a turn to its end that another one delegated: on its time, and at its cost."""
        rest = above.leash.scope.deadline - trio.current_time()
        return await self._run(work, Leash(rest, self._grace, PLACE_TIMEOUT), above.door.for_subagents())

    async def _run(self, work: Work, leash: Leash, models: Models) -> Outcome:
        """Take a turn to its end."""
        began = trio.current_time()
        work = replace(work, clocks=(*work.clocks, leash))
        hooks = ToolHooks(self._hooks, work.turn)
        door = ModelDoor(models, agent=work.agent, tools=work.tools, scope=leash.scope, log=work.log, hooks=hooks)
        running = _Running(work, leash, door)
        self._running.add(running)
        outcome = None
        try:
            outcome = await self._supervise(running)
        finally:
            self._running.discard(running)
            leash.steering.close()
            if outcome is None:
                await work.log.add_last("cancelled", seconds=round(trio.current_time() - began, 4))
        await work.log.add(
            "ended",
            seconds=round(trio.current_time() - began, 4),
            characters=len(outcome.text),
            model_calls=outcome.usage.calls,
            interrupted=outcome.interrupted,
            error=outcome.error,
        )
        return outcome

    async def _supervise(self, running: _Running) -> Outcome:
        """Turn every failure into an Outcome of one sentence."""
        work = running.work
        try:
            if self._stopped:
                raise self._why_ended(running)
            with running.leash.scope:
                return await self._take(running)
            failure = self._why_ended(running)
        except TurnError as error:
            failure = error
        except (ConfigError, SandboxError) as error:
            failure = translated(error)
            self._log.warning(
                "turn_failed", turn_id=work.turn.turn_id, agent=work.agent.id, kind=failure.kind, reason=str(error)
            )
        except Exception:  # noqa: BLE001  # whatever a turn does, the gateway and all other turns go on
            self._log.exception("turn_crashed", turn_id=work.turn.turn_id, agent=work.agent.id)
            failure = TurnError("internal", "Something went wrong in the gateway; its log says what.")
        return failed(failure, running.door.usage)

    async def _take(self, running: _Running) -> Outcome:
        """Lease a process, exchange, and judge how it ended. The confinement is made from the files as they stand now."""
        work, door, leash = running.work, running.door, running.leash
        work = replace(work, agent=await self._prepare(work.agent))
        confinement = work.agent.confinement()
        brokers = {**self._more(work), "delegate": delegation(work, partial(self._run_below, running), door)}
        leash.wait_for_place()
        async with self._pool.lease(confinement, session=work.turn.processes) as lease:
            leash.take_place()
            async with self._doors(work, lease, models=door):
                end = await exchange(work, lease, door=door, brokers=brokers, leash=leash)
        return outcome_of(end, usage=door.usage, model_failure=door.failure, told=leash.steering.taken)

    def _why_ended(self, running: _Running) -> TurnError:
        """Return why a turn was ended from outside."""
        if self._stopped:
            return TurnError("draining", _STOPPED, STOPPED_RETRY)
        if running.leash.interrupt.is_set():
            return TurnError("interrupted", "The turn was stopped.")
        if running.leash.waits:
            text = f"Within {PLACE_TIMEOUT:g} s no place was free in the agent's sandbox: delegate less at a time."
            return TurnError("busy", text, STOPPED_RETRY)
        text = f"The turn took longer than {running.work.agent.turn_timeout:g} s and was ended: ask for less at a time."
        return TurnError("timeout", text)
