"""What sandboxes stand on: a keeper, and below it a template for each interpreter; made when needed, and made anew when dead.

Under an ordinary user a keeper sees the host's file systems as they were mounted when it started, and what is mounted later
never. A confinement that needs that gets a second keeper beside the first, which starts no more sandboxes from then on and
ends with its last one.
"""

from __future__ import annotations

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.identity import places
from hermes_iso_sandbox.launch import Keeper, start_keeper
from hermes_iso_sandbox.template import Template, start_template


class Stand:
    """A keeper and the templates below it. users: how many sandboxes stand on it or are being made."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.templates: dict[tuple[str | None, str], Template] = {}
        self.users = 0
        self._making: dict[tuple[str | None, str], anyio.Lock] = {}

    async def grow(self, python: str | None, engine: str) -> None:
        """See to it that there is a living template; others are made meanwhile. Raises SandboxError."""
        wanted = (python, engine)
        async with self._making.setdefault(wanted, anyio.Lock()):
            template = self.templates.get(wanted)
            if template is not None and template.alive:
                return
            if template is not None:
                template.close()
            self.templates[wanted] = await start_template(self.keeper, python, engine)

    async def close(self) -> None:
        """End the keeper, and with it all below. Cancelling does not cut it short."""
        for template in self.templates.values():
            template.close()
        self.templates.clear()
        await self.keeper.close()


class Stands:
    """The stand that new sandboxes get, and those before it that still have some."""

    def __init__(self, tasks: TaskGroup, uids: range, shared: frozenset[str]) -> None:
        self.current: Stand | None = None
        self._tasks = tasks
        self._uids = uids
        self._shared = shared
        self._former: set[Stand] = set()
        self._making = anyio.Lock()

    async def take(self, confinement: Confinement) -> Stand:
        """Return a living stand that sees the confinement's places, with a living template of its interpreter.

        Whoever takes it gives it back by `leave`. Raises SandboxError when not even a new one sees them.
        """
        async with self._making:
            sources = [bind.source for bind in places(confinement)]
            stand = self.current
            if stand is None or stand.keeper.dead.is_set() or not stand.keeper.sees(sources):
                stand = await self._replace()
                if not stand.keeper.sees(sources):
                    raise SandboxError(f"The places of agent {confinement.name} can't all be shown in a sandbox.")
            stand.users += 1
        try:
            await stand.grow(confinement.python, confinement.engine)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.leave(stand)
            raise
        return stand

    async def leave(self, stand: Stand) -> None:
        """Count one user less; the last one of a former stand ends it."""
        stand.users -= 1
        if not stand.users and stand in self._former:
            self._former.discard(stand)
            await stand.close()

    async def close(self) -> None:
        """End everything. Cancelling does not cut it short."""
        for stand in (*self._former, *([self.current] if self.current else [])):
            await stand.close()

    @property
    def interpreter_hidden(self) -> bool:
        """Whether no template shows where its interpreter lies on the host."""
        return self.current is None or all(template.hidden for template in self.current.templates.values())

    async def _replace(self) -> Stand:
        """Start a keeper for the sandboxes to come. What lived below a dead one is gone already."""
        before, self.current = self.current, Stand(await start_keeper(self._tasks, self._uids, self._shared))
        if before is not None and before.users and not before.keeper.dead.is_set():
            self._former.add(before)
        elif before is not None:
            await before.close()
        return self.current
