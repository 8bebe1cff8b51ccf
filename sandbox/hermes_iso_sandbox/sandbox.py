"""Sandbox: one sandbox of the pool with its waiting turn processes and its sessions; and the bounds of all of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup, UNIXSocketStream

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.door import ServeDoor
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.lease import close
from hermes_iso_sandbox.processes import Session
from hermes_iso_sandbox.watch import Watch
from hermes_iso_sandbox.zygote import Forked, Zygote

PROCESSES_PER_TURN = 4
"""Of a sandbox's processes so many have to be there for each turn that it takes at a time: one is the turn itself."""

COOL_AFTER = 20.0
"""Seconds after a turn in which the next one finds an engine that was made ready."""
_MAKE_READY = wire.encode(wire.MakeReady())


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Bounds of the pool itself: how many sandboxes stay warm, how many turn processes wait and run in each.

    sessions: how many sessions of a sandbox are remembered for the output of background processes that have ended.
    """

    sandboxes: int = 128
    spares: int = 1
    turns: int = 64
    sessions: int = 64


DEFAULT = PoolLimits()


class Sandbox:
    """One sandbox with its waiting turn processes, its running leases and its sessions."""

    def __init__(self, zygote: Zygote, tasks: TaskGroup, limits: PoolLimits, serve_door: ServeDoor) -> None:
        self.zygote = zygote
        self.watch = Watch(self)
        self.leases = 0
        self.retired = False
        self.sessions: dict[str, Session] = {}
        places = max(1, min(limits.turns, zygote.confinement.limits.processes // PROCESSES_PER_TURN))
        self.places = anyio.Semaphore(places, fast_acquire=True)
        self.tasks = tasks
        self._limits = limits
        self._serve_door = serve_door
        self._spares: list[tuple[Forked, UNIXSocketStream]] = []
        self._refilling = anyio.Lock()
        self._turns = 0
        self._ready: list[tuple[Forked, UNIXSocketStream]] = []

    def is_usable(self) -> bool:
        """Return whether it may still take new turns."""
        return not self.retired and not self.zygote.dead.is_set()

    @property
    def idle(self) -> bool:
        """True when nothing of an agent lives in it."""
        return not self.leases and not any(session.live for session in self.sessions.values())

    def session(self, name: str) -> Session:
        """Return what a session keeps here; beyond the bound, the longest unused one without a living process is forgotten."""
        kept = self.sessions.pop(name, None) or Session(self.zygote, self.tasks, self._serve_door)
        self.sessions[name] = kept
        if len(self.sessions) > self._limits.sessions:
            idle = next(
                (key for key, each in self.sessions.items() if not each.live and not each.leases and each is not kept), None
            )
            if idle is not None:
                del self.sessions[idle]
        return kept

    async def take(self, session: Session) -> tuple[Forked, UNIXSocketStream]:
        """Return a turn process for one turn: a spare, or one forked into the session's own namespaces."""
        if session.shared:
            return await self.zygote.fork_turn(session.shared)
        while self._spares:
            forked, stream = self._spares.pop()
            if not forked.gone.is_set():
                return forked, stream
            await close(forked, stream)
        return await self.zygote.fork_turn()

    async def refill(self, *, soon: bool = False) -> None:
        """Fork turn processes ahead of time until enough wait.

        soon: whether the next turn is likely to come soon. An engine that takes a while to make ready is made so then, until
        nobody has asked for COOL_AFTER seconds; otherwise nobody waits with it. What waits dirties is a multiple of what an
        idle agent takes, and forking is little of what making ready takes.
        """
        engine = self.zygote.confinement.engine
        if engine and not soon:
            return
        with contextlib.suppress(SandboxError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with self._refilling:
                await self._fork_spares()
                if engine:
                    await self._make_ready()

    async def _make_ready(self) -> None:
        """Have the waiting processes make their engine ready, for a while."""
        self._turns += 1
        for spare in [each for each in self._spares if each not in self._ready]:
            await spare[1].send(_MAKE_READY)
        self._ready = self._spares.copy()
        self.tasks.start_soon(self._cool, self._turns)

    async def _cool(self, turns: int) -> None:
        """End the processes that were made ready, unless there was a turn since."""
        await anyio.sleep(COOL_AFTER)
        if turns != self._turns or not self.is_usable():
            return
        self._spares, warm = [], self._spares
        self._ready.clear()
        for forked, stream in warm:
            await self.zygote.kill(forked)
            await close(forked, stream)

    async def _fork_spares(self) -> None:
        """Fork until enough wait, or until this sandbox goes out of use."""
        while self.is_usable() and len(self._spares) < self._limits.spares:
            spare = await self.zygote.fork_turn()
            if self.is_usable():
                self._spares.append(spare)
            else:
                await close(*spare)

    async def drop(self) -> None:
        """Let go of what waited in it, after its end."""
        self.retired = True
        for spare in self._spares:
            await close(*spare)
        self._spares.clear()
