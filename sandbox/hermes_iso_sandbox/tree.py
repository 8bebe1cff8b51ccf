"""The process tree of a pool: a keeper, below it a template for each interpreter, and a holder with a zygote for each profile.

What dies is made anew when it is next needed. A template that dies takes nothing with it; a zygote or a holder its profile
alone; the keeper everything.
"""

from __future__ import annotations

import secrets

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.holder import start_holder
from hermes_iso_sandbox.identity import HOST_UIDS, passing
from hermes_iso_sandbox.launch import Keeper, start_keeper
from hermes_iso_sandbox.template import Template, start_template
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
        self._shared = shared
        self._taken: set[int] = set()
        self._guard = Guard()
        self._keeper: Keeper | None = None
        self._templates: dict[str | None, Template] = {}
        self._growing = anyio.Lock()

    async def grow(self, confinement: Confinement) -> Zygote:
        """Start the holder and the zygote of a confinement; what they stand on is started where it is missing.

        Raises SandboxError, UnsupportedSandboxError when a required limit can't be kept; cancelling ends what was started.
        """
        cgroup = self._guard.make(confinement)
        uid = self._take_uid() if confinement.uid is None else confinement.uid - self._uids.start
        try:
            keeper, template = await self._stand(confinement.python)
            control = await begin_zygote(confinement, template, cgroup)
            try:
                holder = await start_holder(confinement, template.system, keeper, uid)
            except BaseException:
                control.close()
                raise
            return await start_zygote(control, holder, cgroup, self._tasks)
        except BaseException:
            self._guard.remove(cgroup)
            self._taken.discard(uid)
            raise

    async def fell(self, zygote: Zygote) -> None:
        """End a zygote with all that it forked, and free what it held. Cancelling does not cut it short."""
        await zygote.end()
        self._guard.remove(zygote.cgroup)
        self._taken.discard(zygote.holder.uid)

    @property
    def interpreter_hidden(self) -> bool:
        """Whether no template shows where its interpreter lies on the host."""
        return all(template.hidden for template in self._templates.values())

    async def close(self) -> None:
        """End everything. Cancelling does not cut it short."""
        await self._uproot()
        await self._guard.aclose()

    async def _uproot(self) -> None:
        """End the keeper, and with it all below."""
        for template in self._templates.values():
            template.close()
        self._templates.clear()
        if self._keeper is not None:
            await self._keeper.close()

    async def _stand(self, python: str | None) -> tuple[Keeper, Template]:
        """Return a living keeper and a living template below it."""
        async with self._growing:
            if self._keeper is None or self._keeper.dead.is_set():
                await self._uproot()
                self._keeper = await start_keeper(self._tasks, self._uids, self._shared)
            template = self._templates.get(python)
            if template is None or not template.alive:
                if template is not None:
                    template.close()
                template = self._templates[python] = await start_template(self._keeper, python)
            return self._keeper, template

    def _take_uid(self) -> int:
        """Return a uid that no sandbox has, as the keeper counts."""
        while (uid := 1 + secrets.randbelow(len(passing(self._uids)) - 1)) in self._taken:
            pass
        self._taken.add(uid)
        return uid
