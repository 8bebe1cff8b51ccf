"""Services: what the straight line stands on, opened in order and closed in reverse, whatever happens between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from hermes_iso.adapter import Chats
from hermes_iso.agents import Agent
from hermes_iso.asks import Asks
from hermes_iso.background import Background
from hermes_iso.broker.models import ModelBroker
from hermes_iso.broker.more import MoreBrokers
from hermes_iso.broker.outside import MACHINES_OWN, Outside
from hermes_iso.chats import ServedChats
from hermes_iso.config.schema import Config
from hermes_iso.doors import Doors
from hermes_iso.hermes.preparing import HermesAgents
from hermes_iso.hooks.opening import Hooks, open_hooks
from hermes_iso.leases import warm_ahead
from hermes_iso.messages import Inbound
from hermes_iso.no_chats import NO_CHATS
from hermes_iso.records import Records, open_records
from hermes_iso.slots import Slots
from hermes_iso.turns import TurnRunner
from hermes_iso_sandbox import SandboxPool

__all__ = ["MACHINES_OWN", "Outside", "Pool", "Services", "open_services"]

Pool: TypeAlias = SandboxPool
"""What `open_services` takes in place of the usual pool."""


@dataclass(frozen=True, slots=True)
class Services:
    """The open services of one gateway. What runs in `background` is cancelled before anything else ends.

    chats: where answers go. served_chats: the same, where there are accounts of the config's to serve.
    """

    records: Records
    pool: SandboxPool
    runner: TurnRunner
    background: trio.Nursery
    asks: Asks
    hooks: Hooks = field(default_factory=Hooks)
    doors: Doors | None = None
    chats: Chats = NO_CHATS
    served_chats: ServedChats | None = None
    slots: Slots = field(default_factory=Slots)
    hermes: HermesAgents = field(default_factory=HermesAgents)

    async def with_files(self, inbound: Inbound, agent: Agent) -> Inbound:
        """Return a message whose files are where its agent finds them."""
        if self.served_chats is None or not inbound.attachments:
            return inbound
        return await self.served_chats.with_files(inbound, agent.profile)


@asynccontextmanager
async def open_services(
    config: Config, pool: Pool | None = None, outside: Outside = MACHINES_OWN, *, chats: Chats | None = None
) -> AsyncIterator[Services]:
    """Open records, model broker, pool and hooks, and begin to warm the agents' sandboxes.

    pool: another pool than the usual one, not yet entered. chats: where answers go instead. Raises HomeBusyError, UsageError.
    """
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(config))
        models = await stack.enter_async_context(ModelBroker(tls=outside.tls))
        hermes = HermesAgents()
        doors = Doors(config, records.journal, models, hermes, outside.lookup)
        pool = pool or SandboxPool(uids=config.host_uids, serve_door=doors.serve_process)
        await stack.enter_async_context(pool)
        hooks = await stack.enter_async_context(open_hooks(config, pool, records.directory))
        background = await stack.enter_async_context(Background())
        background.start_soon(warm_ahead, pool, tuple(config.agents.values()), hermes.ready)
        asks = Asks(records.sessions)
        more = MoreBrokers(records.sessions, asks)
        runner = TurnRunner(pool, models, hooks=hooks, more=more, doors=doors.beside, prepare=hermes.prepared)
        served, slots = ServedChats(config), Slots(config.max_concurrent)
        where = (doors, chats or served, served, slots)
        yield Services(records, pool, runner, background, asks, hooks, *where, hermes=hermes)
