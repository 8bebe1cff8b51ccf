"""Records: everything that a gateway keeps on disk for itself, open: the lock, the journal, each agent's sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hermes_iso import journal, sessions
from hermes_iso.config.schema import Config
from hermes_iso.home_lock import hold_home, make_private
from hermes_iso.session_schema import SCHEMA
from hermes_iso.store import Database, open_database


class AgentDatabases:
    """Each agent's sessions.db: opened when the agent is first served, closed when nobody can use it any more."""

    def __init__(self, directory: Path) -> None:
        self.by_agent: dict[str, Database] = {}
        self._directory = directory
        self._stacks: dict[str, AsyncExitStack] = {}

    async def open(self, agents: Iterable[str]) -> None:
        """Open those of `agents` that are not open yet. Raises UsageError; those before it stay open."""
        make_private(self._directory)
        for agent in agents:
            if agent in self.by_agent:
                continue
            own = self._directory / agent
            make_private(own)
            async with AsyncExitStack() as stack:
                self.by_agent[agent] = await stack.enter_async_context(open_database(own / "sessions.db", SCHEMA))
                self._stacks[agent] = stack.pop_all()

    async def close_all_but(self, agents: Container[str]) -> None:
        """Close those that are of none of `agents`; no turn may use them any more."""
        async with AsyncExitStack() as closing:
            for agent in [each for each in self._stacks if each not in agents]:
                del self.by_agent[agent]
                await closing.enter_async_context(self._stacks.pop(agent))


@dataclass(frozen=True, slots=True)
class Records:
    """The open records of one gateway. `directory` is `<home>/hermes-iso`."""

    directory: Path
    journal: journal.Journal
    sessions: sessions.Sessions
    databases: AgentDatabases


@asynccontextmanager
async def open_records(config: Config) -> AsyncIterator[Records]:
    """Take the home's lock, then open the databases. Raises HomeBusyError, UsageError."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(hold_home(config.home))
        entries = await stack.enter_async_context(open_database(directory / "gateway.db", journal.SCHEMA))
        databases = AgentDatabases(directory / "agents")
        stack.push_async_callback(databases.close_all_but, ())
        await databases.open(config.agents)
        writer = await stack.enter_async_context(journal.open_journal(entries))
        yield Records(directory, writer, sessions.Sessions(databases.by_agent), databases)
