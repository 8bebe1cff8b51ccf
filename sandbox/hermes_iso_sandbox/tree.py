"""The process tree of a pool: a keeper, below it a template for each interpreter, and a holder with a zygote for each profile.

What dies is made anew when it is next needed. A template that dies takes nothing with it; a zygote or a holder its profile
alone; the keeper everything.

Under an ordinary user a keeper sees the host's file systems as they were mounted when it started, and what is mounted later
never. A confinement that needs that gets a second keeper beside the first, which starts no more sandboxes from then on and
ends with its last one.
"""

from __future__ import annotations

import secrets

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.cgroups import Cgroup
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.holder import start_holder
from hermes_iso_sandbox.identity import HOST_UIDS, passing, places
from hermes_iso_sandbox.launch import Keeper, start_keeper
from hermes_iso_sandbox.template import Template, start_template
from hermes_iso_sandbox.watch import Guard
from hermes_iso_sandbox.zygote import Zygote, begin_zygote, start_zygote


class _Stand:
    """What sandboxes stand on: a keeper and the templates below it. users: sandboxes that are there or being made."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.templates: dict[str | None, Template] = {}
        self.users = 0

    async def close(self) -> None:
        """End the keeper, and with it all below. Cancelling does not cut it short."""
        for template in self.templates.values():
            template.close()
        self.templates.clear()
        await self.keeper.close()


class Tree:
    """Starts and ends the processes that sandboxes are made of.

    tasks: carries their readers. uids: those of the host, for a root gateway; the first is the keeper's own.
    shared: what of the host the keeper does not keep out; for the self-test of `hermes-iso prove` alone.
    """

    def __init__(self, tasks: TaskGroup, uids: range = HOST_UIDS, shared: frozenset[str] = frozenset()) -> None:
        self._tasks = tasks
        self._uids = uids
        self._shared = shared
        self._taken: set[int] = set()
        self._guard = Guard()
        self._stand: _Stand | None = None
        self._stands: dict[Zygote, _Stand] = {}
        self._growing = anyio.Lock()

    async def grow(self, confinement: Confinement) -> Zygote:
        """Start the holder and the zygote of a confinement; what they stand on is started where it is missing.

        Raises SandboxError, UnsupportedSandboxError when a required limit can't be kept; cancelling ends what was started.
        """
        cgroup = self._guard.make(confinement)
        uid = self._take_uid() if confinement.uid is None else confinement.uid - self._uids.start
        try:
            stand = await self._found_stand(confinement)
            stand.users += 1
            try:
                zygote = await self._begin(confinement, stand, cgroup, uid)
            except BaseException:
                await self._leave(stand)
                raise
            self._stands[zygote] = stand
            return zygote
        except BaseException:
            self._guard.remove(cgroup)
            self._taken.discard(uid)
            raise

    async def _begin(self, confinement: Confinement, stand: _Stand, cgroup: Cgroup, uid: int) -> Zygote:
        """Start the holder and the zygote on what they stand on."""
        template = stand.templates[confinement.python]
        control = await begin_zygote(confinement, template, cgroup)
        try:
            holder = await start_holder(confinement, template.system, stand.keeper, uid)
        except BaseException:
            control.close()
            raise
        return await start_zygote(control, holder, cgroup, self._tasks)

    async def fell(self, zygote: Zygote) -> None:
        """End a zygote with all that it forked, and free what it held. Cancelling does not cut it short."""
        await zygote.end()
        if (stand := self._stands.pop(zygote, None)) is not None:
            await self._leave(stand)
        self._guard.remove(zygote.cgroup)
        self._taken.discard(zygote.holder.uid)

    @property
    def interpreter_hidden(self) -> bool:
        """Whether no template shows where its interpreter lies on the host."""
        return self._stand is None or all(template.hidden for template in self._stand.templates.values())

    async def close(self) -> None:
        """End everything. Cancelling does not cut it short."""
        for stand in {*self._stands.values(), *([self._stand] if self._stand else [])}:
            await stand.close()
        await self._guard.aclose()

    async def _leave(self, stand: _Stand) -> None:
        """Count one user less; the last one of a keeper that starts no more takes it along."""
        stand.users -= 1
        if not stand.users and stand is not self._stand:
            await stand.close()

    async def _found_stand(self, confinement: Confinement) -> _Stand:
        """Return a living keeper that sees the confinement's places, with a living template of its interpreter below it."""
        async with self._growing:
            sources = [bind.source for bind in places(confinement)]
            stand = self._stand
            if stand is None or stand.keeper.dead.is_set() or not stand.keeper.sees(sources):
                fresh = _Stand(await start_keeper(self._tasks, self._uids, self._shared))
                self._stand = fresh
                if stand is not None and (stand.keeper.dead.is_set() or not stand.users):
                    await stand.close()
                if not fresh.keeper.sees(sources):
                    raise SandboxError(f"The places of agent {confinement.name} can't all be shown in a sandbox.")
                stand = fresh
            template = stand.templates.get(confinement.python)
            if template is None or not template.alive:
                if template is not None:
                    template.close()
                stand.templates[confinement.python] = await start_template(stand.keeper, confinement.python)
            return stand

    def _take_uid(self) -> int:
        """Return a uid that no sandbox has, as the keeper counts."""
        while (uid := 1 + secrets.randbelow(len(passing(self._uids)) - 1)) in self._taken:
            pass
        self._taken.add(uid)
        return uid
