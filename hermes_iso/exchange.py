"""The exchange with one leased process: the request, the calls answered beside it, an interrupt passed on, the last message."""

from __future__ import annotations

from hermes_iso.background import Background
from hermes_iso.broker.capabilities import ProcessBroker
from hermes_iso.broker.door import ModelDoor
from hermes_iso.conversation import End, converse
from hermes_iso.guest_calls import GuestCalls
from hermes_iso.leases import LeaseLike, Leash, send_request
from hermes_iso.work import Work


async def exchange(work: Work, lease: LeaseLike, *, door: ModelDoor, leash: Leash) -> End:
    """Give the process its turn and return its last message. Raises SandboxError, TurnError."""
    granted = frozenset(tool.name for tool in work.tools)
    processes = ProcessBroker(lease.processes, granted=granted, env=work.process_environment(), deadline=leash.scope.deadline)
    async with Background() as nursery:
        nursery.start_soon(leash.pass_on_interrupt, lease)
        calls = GuestCalls(lease, nursery, models=door, processes=processes, desk=work.desk)
        await send_request(lease, work.request())
        return await converse(work, lease, calls.take_nowait, door.hooks.returned)
