"""Services: what the straight line stands on, opened in order and closed in reverse, whatever happens between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import trio

from hermes_iso.background import Background
from hermes_iso.broker.models import ModelBroker
from hermes_iso.broker.more import MoreBrokers
from hermes_iso.config.schema import Config
from hermes_iso.leases import warm_ahead
from hermes_iso.records import Records, open_records
from hermes_iso.turns import TurnRunner
from hermes_iso_sandbox import SandboxPool

Pool: TypeAlias = SandboxPool
"""What `open_services` takes in place of the usual pool."""


@dataclass(frozen=True, slots=True)
class Services:
    """The open services of one gateway. What runs in `background` is cancelled before anything else ends."""

    records: Records
    pool: SandboxPool
    runner: TurnRunner
    background: trio.Nursery


@asynccontextmanager
async def open_services(config: Config, pool: Pool | None = None) -> AsyncIterator[Services]:
    """Open records, model broker and pool, and begin to warm the agents' sandboxes.

    pool: another pool than the usual one, not yet entered. Raises HomeBusyError, UsageError.
    """
    pool = pool or SandboxPool(uids=config.host_uids)
    async with open_records(config) as records, ModelBroker() as models, pool, Background() as background:
        background.start_soon(warm_ahead, pool, tuple(config.agents.values()))
        yield Services(records, pool, TurnRunner(pool, models, more=MoreBrokers(records.sessions)), background)
