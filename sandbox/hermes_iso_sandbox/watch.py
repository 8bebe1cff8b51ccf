"""Watch one sandbox while something runs in it: memory that ran out, and directories that have become too large.

The kernel bounds memory, but what it kills is one process of many, and the rest would go on without it: so the sandbox's turns
end with a sentence that says why. No kernel bounds what a directory tree takes up for an ordinary user, so that is counted
(see counting): when free space on its file systems has changed by a sixteenth of a limit, else every half minute. A pause
of a few times its own length follows each count, so that a tree that is dear to count stays cheap over time.

A sandbox over a limit of its directories takes no turn until a new count finds it below: that is made for each turn that
would begin. Commands of the operator are not stopped, since they are how room is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.cgroups import Cgroup, Cgroups, find
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.counting import Space, count, judge, size_text
from hermes_iso_sandbox.enforcement import check_required
from hermes_iso_sandbox.errors import LimitError, SandboxError
from hermes_iso_sandbox.processes import Session
from hermes_iso_sandbox.zygote import Forked, Zygote

TICK = 0.25
"""Seconds between two looks."""
LINGER = 5.0
"""Seconds for which a watch goes on after the last use, so that it is not started anew for every turn."""
COUNT_EVERY = 30.0
"""Seconds after which directories are counted although free space has hardly changed."""
PAUSE_FACTOR = 4.0


class Guard:
    """Keeps all sandboxes of a pool within their limits: finds and opens the cgroups, makes and removes one for each."""

    def __init__(self) -> None:
        self._found = find()
        self._cgroups = Cgroups(self._found)

    def make(self, confinement: Confinement) -> Cgroup:
        """Make the cgroup of a sandbox. Raise UnsupportedSandboxError when a required limit can't be kept, SandboxError."""
        check_required(confinement.limits, self._found, agent=confinement.name)
        return self._cgroups.make(confinement.limits)

    def remove(self, cgroup: Cgroup) -> None:
        """Remove the cgroup of a sandbox that is dead."""
        self._cgroups.remove(cgroup)

    async def aclose(self) -> None:
        """Remove all that was made."""
        await self._cgroups.aclose()


class Watched(Protocol):
    """A sandbox as its watch sees it."""

    zygote: Zygote
    sessions: dict[str, Session]

    @property
    def idle(self) -> bool:
        """True when nothing of an agent lives in it."""


class Watch:
    """The watch over one sandbox."""

    def __init__(self, sandbox: Watched) -> None:
        self._sandbox = sandbox
        self._limits = sandbox.zygote.confinement.limits
        self._turns: set[Forked] = set()
        self._kills = 0
        self._active = False
        self._over: LimitError | None = None
        self._counted_at: float | None = None
        self._counting = anyio.Lock()
        self._space = Space(sandbox.zygote.confinement)

    def start(self, tasks: TaskGroup) -> None:
        """Watch for as long as something runs in the sandbox, unless that is being done already."""
        if not self._active:
            self._active = True
            tasks.start_soon(self._serve)

    def settle(self) -> None:
        """Take in, once nobody holds the sandbox, what was killed so far: no later turn's doing."""
        self._kills = self._sandbox.zygote.cgroup.oom_kills()

    async def admit(self) -> None:
        """Return when a turn may begin. Raise LimitError while the directories are over a limit."""
        if self._over:
            await self._count()
        if self._over:
            raise LimitError(self._over.limit, f"No turn was begun: {self._over}")

    @contextlib.contextmanager
    def over(self, turn: Forked) -> Iterator[None]:
        """Watch over one turn: when a limit ends it, what the body raises becomes a LimitError."""
        self._turns.add(turn)
        try:
            yield
        except SandboxError as error:
            self._check_memory()
            if turn.why is None:
                raise
            raise turn.why from error
        finally:
            self._turns.discard(turn)

    async def _serve(self) -> None:
        """Look again and again until nothing runs any more."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve_directories)
            last_used = anyio.current_time()
            while anyio.current_time() < last_used + LINGER and not self._sandbox.zygote.dead.is_set():
                with anyio.move_on_after(TICK):
                    await self._sandbox.zygote.dead.wait()
                if not self._sandbox.idle:
                    last_used = anyio.current_time()
                    if self._check_memory():
                        await self._end_turns()
            self._active = False  # at once: whoever comes while the other task is ended needs a new watch
            tasks.cancel_scope.cancel()

    async def _serve_directories(self) -> None:
        """Count when it is time, and end what runs in a sandbox that is over a limit."""
        took = 0.0
        while True:
            await anyio.sleep(TICK + PAUSE_FACTOR * took)
            began = anyio.current_time()
            if not self._sandbox.idle and self._is_due(began):
                await self._count()
                if self._over:
                    self._blame(LimitError(self._over.limit, f"The turn was stopped: {self._over}"))
                    await self._end_processes()  # first, so that whoever hears of it finds the room that they held
                    await self._end_turns()
            took = anyio.current_time() - began

    def _is_due(self, now: float) -> bool:
        """Return whether the directories are to be counted."""
        return self._counted_at is None or now > self._counted_at + COUNT_EVERY or self._space.has_changed()

    async def _count(self) -> None:
        """Count, unless somebody else does at this moment and will have the answer."""
        waited = self._counting.locked()
        async with self._counting:
            if waited or (self._limits.disk is None and self._limits.inodes is None):
                return
            self._space.mark()
            counted = await count(self._sandbox.zygote)
            if counted is not None:
                self._over = judge(counted, self._limits, self._sandbox.zygote.confinement.name)
                self._counted_at = anyio.current_time()

    def _check_memory(self) -> bool:
        """Note it as the end of every running turn when the kernel has killed something here; return whether it has."""
        kills = self._sandbox.zygote.cgroup.oom_kills()
        if kills == self._kills or self._limits.memory is None:
            return False
        self._kills = kills
        text = f"the agent used up its memory limit of {size_text(self._limits.memory)}"
        self._blame(LimitError("memory", f"The turn was stopped: {text}; ask for less at a time, or raise the limit."))
        return True

    def _blame(self, error: LimitError) -> None:
        """Note why the turns that run now end."""
        for turn in self._turns:
            turn.why = turn.why or error

    async def _end_turns(self) -> None:
        """Kill the turns that run now."""
        async with anyio.create_task_group() as tasks:
            for turn in self._turns:
                tasks.start_soon(self._sandbox.zygote.kill, turn)

    async def _end_processes(self) -> None:
        """Kill the background processes that live now."""
        async with anyio.create_task_group() as tasks:
            for session in self._sandbox.sessions.values():
                for process in session.processes.values():
                    if process.exit_status is None:
                        tasks.start_soon(process.kill)
