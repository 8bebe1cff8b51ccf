"""The process tree of a pool: a keeper, below it a template for each interpreter, and a holder with a zygote for each profile.

What dies is made anew when it is next needed. A template that dies takes nothing with it; a zygote or a holder its profile
alone; the keeper everything. `stand` has the keeper and the templates.
"""

from __future__ import annotations

import secrets

from anyio.abc import TaskGroup

from hermes_iso_sandbox.cgroups import Cgroup
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.holder import start_holder
from hermes_iso_sandbox.identity import HOST_UIDS, passing
from hermes_iso_sandbox.stand import Stand, Stands
from hermes_iso_sandbox.watch import Guard
from hermes_iso_sandbox.zygote import Zygote, begin_zygote, start_zygote


class Tree:
    """Starts and ends the processes that sandboxes are made of.

    tasks: carries their readers. uids: those of the host, for a root gateway; the first is the keeper's own.
    shared: what of the host the keeper does not keep out; for the self-test of `hermes-iso prove` alone.
    """

    def __init__(self, tasks: TaskGroup, uids: range = HOST_UIDS, shared: frozenset[str] = frozenset()) -> None:
        self._tasks = tasks
        self._uids = uids
        self._taken: set[int] = set()
        self._guard = Guard()
        self._stands = Stands(tasks, uids, shared)
        self._below: dict[Zygote, Stand] = {}

    async def grow(self, confinement: Confinement) -> Zygote:
        """Start the holder and the zygote of a confinement; what they stand on is started where it is missing.

        Raises SandboxError, UnsupportedSandboxError when a required limit can't be kept; cancelling ends what was started.
        """
        cgroup = self._guard.make(confinement)
        uid = self._take_uid() if confinement.uid is None else confinement.uid - self._uids.start
        try:
            stand = await self._stands.take(confinement)
            try:
                zygote = await self._begin(confinement, stand, cgroup, uid)
            except BaseException:
                await self._stands.leave(stand)
                raise
            self._below[zygote] = stand
            return zygote
        except BaseException:
            self._guard.remove(cgroup)
            self._taken.discard(uid)
            raise

    async def ground(self, confinement: Confinement) -> None:
        """Start what a confinement's sandbox will stand on, where it is missing. Raises SandboxError."""
        await self._stands.leave(await self._stands.take(confinement))

    async def _begin(self, confinement: Confinement, stand: Stand, cgroup: Cgroup, uid: int) -> Zygote:
        """Start the holder and the zygote on what they stand on."""
        template = stand.templates[confinement.python, confinement.engine]
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
        if (stand := self._below.pop(zygote, None)) is not None:
            await self._stands.leave(stand)
        self._guard.remove(zygote.cgroup)
        self._taken.discard(zygote.holder.uid)

    @property
    def interpreter_hidden(self) -> bool:
        """Whether no template shows where its interpreter lies on the host."""
        return self._stands.interpreter_hidden

    async def close(self) -> None:
        """End everything. Cancelling does not cut it short."""
        await self._stands.close()
        await self._guard.aclose()

    def _take_uid(self) -> int:
        """Return a uid that no sandbox has, as the keeper counts."""
        while (uid := 1 + secrets.randbelow(len(passing(self._uids)) - 1)) in self._taken:
            pass
        self._taken.add(uid)
        return uid
