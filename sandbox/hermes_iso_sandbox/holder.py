"""The holder of a profile: bwrap's composition of what the profile's processes see, kept open by a process that only waits.

The zygote enters its namespaces and every turn is forked there; killing the holder's first process, pid 1 of its pid namespace,
ends all of them.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from hermes_iso_sandbox.bwrap import HOLDER, Plan, System, plan
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.identity import is_mapped, shown
from hermes_iso_sandbox.launch import Keeper, Started, memory_file


class Holder:
    """A running holder of one confinement, under one uid as the keeper counts. Made by `start_holder`."""

    def __init__(self, confinement: Confinement, uid: int, keeper: Keeper, started: Started, steps: Plan) -> None:
        self.confinement = confinement
        self.uid = uid
        self.started = started
        self.plan = steps
        self._keeper = keeper

    async def end(self) -> None:
        """End it and everything in it; return when all of that is dead. Cancelling does not cut it short."""
        await self._keeper.end(self.started)


async def start_holder(confinement: Confinement, system: System, keeper: Keeper, uid: int) -> Holder:
    """Start the holder of a confinement and return when its namespaces are set up.

    uid: from 1, as the keeper counts; an ordinary user has but one. Raises SandboxError; cancelling ends it.
    """
    number = keeper.number()
    with ExitStack() as stack:
        async with shown(confinement, keeper, number=number, uid=uid) as (view, mounts):
            steps = plan(view, system)
            files = [memory_file(content) for content in steps.contents]
            for fd in files:
                stack.callback(os.close, fd)
            started = await keeper.start(
                number, steps.arguments, HOLDER, fds=files, uid=uid if is_mapped() else 0, mounts=mounts
            )
    return Holder(confinement, uid, keeper, started, steps)
