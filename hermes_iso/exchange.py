"""The exchange with one leased process: the request, the calls answered beside it, an interrupt passed on, the last message."""

from __future__ import annotations

from hermes_iso.background import Background
from hermes_iso.broker.capabilities import ProcessBroker
from hermes_iso.broker.door import ModelDoor
from hermes_iso.conversation import End, converse
from hermes_iso.guest_calls import Broker, GuestCalls
from hermes_iso.leases import LeaseLike, Leash, send_request
from hermes_iso.work import Work


async def exchange(work: Work, lease: LeaseLike, *, door: ModelDoor, delegation: Broker, leash: Leash) -> End:
    """Give the process its turn and return its last message. Raises SandboxError, TurnError.

    However it ends, the turns that it delegated end first; and what a delegated turn left in the background ends with it.
    """
    granted = frozenset(tool.name for tool in work.tools)
    processes = ProcessBroker(lease.processes, granted=granted, env=work.process_environment(), deadline=leash.scope.deadline)
    try:
        async with Background() as nursery:
            nursery.start_soon(leash.pass_on_interrupt, lease)
            calls = GuestCalls(lease, nursery, models=door, processes=processes, delegation=delegation)
            await send_request(lease, work.request())
            return await converse(work, lease, calls.take_nowait)
    finally:
        if work.depth:
            await processes.end_all()
