"""The exchange with one leased process: the request, the calls answered beside it, an interrupt passed on, the last message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hermes_iso.background import Background
from hermes_iso.broker.capabilities import ProcessBroker
from hermes_iso.broker.door import ModelDoor
from hermes_iso.conversation import End, Heard, converse
from hermes_iso.guest_calls import GuestCalls
from hermes_iso.leases import LeaseLike, Leash, send_request
from hermes_iso.work import Broker, Work

MoreBrokers: TypeAlias = Callable[[Work], Mapping[str, Broker]]
"""Makes what answers the further methods that one turn's guest may call, by name."""


async def exchange(work: Work, lease: LeaseLike, *, door: ModelDoor, brokers: Mapping[str, Broker], leash: Leash) -> End:
    """Give the process its turn and return its last message. Raises SandboxError, TurnError.

    However it ends, the turns that it delegated end first; and what a delegated turn left in the background ends with it.
    """
    granted = frozenset(tool.name for tool in work.tools)
    processes = ProcessBroker(lease.processes, granted=granted, env=work.process_environment(), scope=leash.scope)
    try:
        async with Background() as nursery:
            nursery.start_soon(leash.pass_on_interrupt, lease)
            given = {**brokers, "process": processes, "send_message": work.mailbox}
            calls = GuestCalls(lease, nursery, models=door, brokers=given, ledger=work.ledger)
            await send_request(lease, work.request())
            nursery.start_soon(leash.steering.pass_on, lease)
            return await converse(work, lease, Heard(calls.take_nowait, leash.steering.settle_nowait, door.hooks.returned))
    finally:
        if work.depth:
            await processes.end_all()
