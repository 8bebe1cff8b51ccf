"""Records: everything that a gateway keeps on disk for itself, open: the lock, the journal, each agent's sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hermes_iso import journal, sessions
from hermes_iso.config.schema import Config
from hermes_iso.home_lock import hold_home, make_private
from hermes_iso.session_schema import SCHEMA
from hermes_iso.store import open_database


@dataclass(frozen=True, slots=True)
class Records:
    """The open records of one gateway. `directory` is `<home>/hermes-iso`."""

    directory: Path
    journal: journal.Journal
    sessions: sessions.Sessions


@asynccontextmanager
async def open_records(config: Config) -> AsyncIterator[Records]:
    """Take the home's lock, then open the databases. Raises HomeBusyError, UsageError."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(hold_home(config.home))
        entries = await stack.enter_async_context(open_database(directory / "gateway.db", journal.SCHEMA))
        databases = {}
        make_private(directory / "agents")
        for agent in config.agents:
            own = directory / "agents" / agent
            make_private(own)
            databases[agent] = await stack.enter_async_context(open_database(own / "sessions.db", SCHEMA))
        writer = await stack.enter_async_context(journal.open_journal(entries))
        yield Records(directory, writer, sessions.Sessions(databases))
