"""The process tree of a pool: a keeper, below it a template for each interpreter, and a holder with a zygote for each profile.

What dies is made anew when it is next needed. A template that dies takes nothing with it; a zygote or a holder its profile
alone; the keeper everything.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.holder import start_holder
from hermes_iso_sandbox.launch import Keeper, start_keeper
from hermes_iso_sandbox.template import Template, start_template
from hermes_iso_sandbox.zygote import Zygote, start_zygote


class Tree:
    """Starts the processes that sandboxes are made of.

    tasks: carries their readers. uids: those of the host, for a root gateway.
    """

    def __init__(self, tasks: TaskGroup, uids: range) -> None:
        self._tasks = tasks
        self._uids = uids
        self._keeper: Keeper | None = None
        self._templates: dict[str | None, Template] = {}
        self._growing = anyio.Lock()

    async def grow(self, confinement: Confinement, uid: int, joins: Sequence[int] = ()) -> Zygote:
        """Start the holder and the zygote of a confinement; what they stand on is started where it is missing.

        uid: the agent's, as the keeper counts. joins: open files of control groups. Raises SandboxError; cancelling ends them.
        """
        keeper, template = await self._stand(confinement.python)
        holder = await start_holder(confinement, template.system, keeper, uid)
        return await start_zygote(holder, template, self._tasks, joins)

    async def close(self) -> None:
        """End everything. Cancelling does not cut it short."""
        for template in self._templates.values():
            template.close()
        self._templates.clear()
        if self._keeper is not None:
            await self._keeper.close()

    async def _stand(self, python: str | None) -> tuple[Keeper, Template]:
        """Return a living keeper and a living template below it."""
        async with self._growing:
            if self._keeper is None or self._keeper.dead.is_set():
                await self.close()
                self._keeper = await start_keeper(self._tasks, self._uids)
            template = self._templates.get(python)
            if template is None or not template.alive:
                if template is not None:
                    template.close()
                template = self._templates[python] = await start_template(self._keeper, python)
            return self._keeper, template
