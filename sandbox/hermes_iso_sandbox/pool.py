"""LeasingPool: every sandbox of a host, and the one way to a turn process, `lease()`.

A sandbox is pinned to one Confinement for its whole life. The pool makes it when it is first needed, keeps a forked turn
process waiting in it, gives that out exactly once, and forks the next after the reply. When a lease ends, however it ends,
every process of the turn is dead before `lease()` returns: the zygote's word that its pid namespace is empty is the proof.
A changed Confinement of the same home makes a new sandbox; the old one takes no new turns and ends with its last one.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.door import ServeDoor, beside_door, close_door
from hermes_iso_sandbox.errors import (
    GuestTimeoutError,
    SandboxError,
)
from hermes_iso_sandbox.identity import HOST_UIDS
from hermes_iso_sandbox.lease import Lease, close
from hermes_iso_sandbox.processes import Processes
from hermes_iso_sandbox.sandbox import DEFAULT, PoolLimits, Sandbox
from hermes_iso_sandbox.tree import Tree

NOT_OPEN = "The pool is not open: use it in `async with`."


class _Making:
    """The right to make the sandbox of one confinement; it lives as long as somebody holds or wants it."""

    def __init__(self) -> None:
        self.lock = anyio.Lock()


class LeasingPool:
    """Every sandbox, made when needed and ended on leaving `async with`. Safe for any number of concurrent tasks."""

    shared: frozenset[str] = frozenset()
    """What of the host is not kept out of all sandboxes; for the self-test of `hermes-iso prove` alone."""

    def __init__(
        self,
        *,
        limits: PoolLimits = DEFAULT,
        uids: range = HOST_UIDS,
        serve_door: ServeDoor = close_door,
    ) -> None:
        """uids: the host uids of the sandboxes of a root gateway; an ordinary user's are that user.

        serve_door: serves the doors of commands and background processes; a turn's is taken from its lease.
        """
        self._limits = limits
        self._uids = uids
        self._serve_door = serve_door
        self._sandboxes: dict[Path, Sandbox] = {}
        self._making: WeakValueDictionary[Path, _Making] = WeakValueDictionary()
        self._tasks: TaskGroup | None = None
        self._tree: Tree | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tree = Tree(self._tasks, self._uids, self.shared)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._tasks is not None
        assert self._tree is not None
        with anyio.CancelScope(shield=True):
            for sandbox in [*self._sandboxes.values()]:
                await self._end(sandbox)
            await self._tree.close()
        self._tasks.cancel_scope.cancel()
        if isinstance(error, anyio.get_cancelled_exc_class()):
            return await self._tasks.__aexit__(kind, error, trace)
        await self._tasks.__aexit__(None, None, None)  # the user's own error passes as it is, not inside a group
        return None

    @contextlib.asynccontextmanager
    async def lease(self, confinement: Confinement, *, session: str) -> AsyncIterator[Lease]:
        """Lease a fresh turn process in the sandbox of `confinement`.

        session: names what background processes belong to; turns of one session see those of earlier ones.
        On leaving, by an answer, an error or cancellation, the turn's whole process tree is dead.
        Raises SandboxError when no sandbox could be had, UnsupportedSandboxError when this machine can't, LimitError when
        the agent is over a limit; a limit that ends the turn makes a LimitError of what the body raises.
        """
        async with self._sandbox(confinement) as sandbox, sandbox.places:
            await sandbox.watch.admit()
            kept = sandbox.session(session)
            kept.leases += 1
            try:
                forked, stream = await sandbox.take(kept)
                if forked.stderr:
                    self.start(forked.stderr.collect)
                try:
                    with sandbox.watch.over(forked):
                        yield Lease(forked, stream, Processes(kept, forked), has_door=confinement.door)
                finally:
                    await sandbox.zygote.kill(forked)
                    await close(forked, stream)
            finally:
                kept.leases -= 1
        if not sandbox.retired:
            self.start(partial(sandbox.refill, soon=True))

    async def run_command(
        self,
        confinement: Confinement,
        argv: Sequence[str],
        *,
        stdio: tuple[int, int, int],
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> int:
        """Run a command on these descriptors in exactly the sandbox that a turn gets; return its status as a shell shows it.

        Raises GuestTimeoutError after `timeout` seconds. Cancelling kills it.
        """
        async with self._sandbox(confinement) as sandbox:
            forked, channel = await sandbox.zygote.fork_command(argv, stdio=stdio, cwd=None, env=env or {})
            try:
                with anyio.move_on_after(timeout):
                    async with beside_door(channel, confinement, self._serve_door):
                        await forked.gone.wait()
            finally:
                timed_out = not forked.gone.is_set()
                await sandbox.zygote.kill(forked)
        if timed_out:
            raise GuestTimeoutError(f"The command ran longer than {timeout:g} s and was ended.")
        if forked.status is None:
            raise SandboxError("The sandbox ended while the command ran.")
        return forked.status

    async def ground(self, confinement: Confinement) -> None:
        """Start the template of a confinement's interpreter and engine, and what is below it. Raises SandboxError."""
        if self._tree is None:
            raise SandboxError(NOT_OPEN)
        await self._tree.ground(confinement)

    async def warm(self, confinement: Confinement) -> None:
        """Make the sandbox of a confinement ahead of its first turn."""
        async with self._sandbox(confinement) as sandbox:
            await sandbox.refill()

    async def retire(self, home: Path) -> None:
        """Take the sandbox of a home out of use: it ends now with its background processes, or with its last lease."""
        if (sandbox := self._sandboxes.get(home)) is not None:
            await self._retire(sandbox)

    @property
    def interpreter_hidden(self) -> bool:
        """Whether mountinfo inside keeps to itself where the interpreter lies on the host, as far as one was started."""
        return self._tree is None or self._tree.interpreter_hidden

    def statistics(self) -> Mapping[str, int]:
        """Return counts: sandboxes, leases, background processes."""
        sandboxes = self._sandboxes.values()
        return {
            "sandboxes": len(sandboxes),
            "leases": sum(sandbox.leases for sandbox in sandboxes),
            "processes": sum(session.live for sandbox in sandboxes for session in sandbox.sessions.values()),
        }

    @contextlib.asynccontextmanager
    async def _sandbox(self, confinement: Confinement) -> AsyncIterator[Sandbox]:
        """Hold the living sandbox of a confinement; a retired one ends when nobody holds it any more."""
        home = confinement.home
        sandbox = self._find(confinement)
        if sandbox is None:
            making = self._making.setdefault(home, _Making())
            async with making.lock:
                sandbox = self._find(confinement) or await self._make(confinement)
        sandbox.leases += 1
        sandbox.watch.start(sandbox.tasks)
        self._sandboxes[home] = self._sandboxes.pop(home, sandbox)  # the most recently used comes last
        try:
            yield sandbox
        finally:
            sandbox.leases -= 1
            if not sandbox.leases:
                sandbox.watch.settle()
                if self._sandboxes.get(home) is not sandbox:
                    await self._end(sandbox)

    def _find(self, confinement: Confinement) -> Sandbox | None:
        """Return the living sandbox of a confinement. There is at most one for a home."""
        found = self._sandboxes.get(confinement.home)
        return found if found is not None and found.is_usable() and found.zygote.confinement == confinement else None

    async def _make(self, confinement: Confinement) -> Sandbox:
        """Start a sandbox, retiring older ones of the same home and the least recently used idle ones beyond the bound."""
        if self._tree is None or self._tasks is None:
            raise SandboxError(NOT_OPEN)
        if (other := self._sandboxes.get(confinement.home)) is not None:
            await self._retire(other)
        idle = [each for each in self._sandboxes.values() if each.idle]
        for other in idle[: max(0, len(self._sandboxes) + 1 - self._limits.sandboxes)]:
            await self._retire(other)
        sandbox = Sandbox(await self._tree.grow(confinement), self._tasks, self._limits, self._serve_door)
        self._sandboxes[confinement.home] = sandbox
        return sandbox

    async def _retire(self, sandbox: Sandbox) -> None:
        """Take a sandbox out of use: it ends now, or when its last lease does."""
        sandbox.retired = True
        self._forget(sandbox)
        if not sandbox.leases:
            await self._end(sandbox)

    async def _end(self, sandbox: Sandbox) -> None:
        """End a sandbox whatever cancels us."""
        assert self._tree is not None
        self._forget(sandbox)
        with anyio.CancelScope(shield=True):
            await self._tree.fell(sandbox.zygote)
            await sandbox.drop()

    def _forget(self, sandbox: Sandbox) -> None:
        """Offer a sandbox to nobody any more."""
        home = sandbox.zygote.confinement.home
        if self._sandboxes.get(home) is sandbox:
            del self._sandboxes[home]

    def start(self, function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> None:
        """Run something in the pool's own task group."""
        if self._tasks is None:
            raise SandboxError(NOT_OPEN)
        self._tasks.start_soon(function, *args)
