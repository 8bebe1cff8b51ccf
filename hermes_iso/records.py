"""Records: everything that a gateway keeps on disk for itself, open: the lock, the journal, each agent's sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hermes_iso import journal, sessions
from hermes_iso.admission import Admission, open_admission
from hermes_iso.config.schema import Config
from hermes_iso.home_lock import hold_home, make_private
from hermes_iso.inbox.schema import GATEWAY_SCHEMA
from hermes_iso.session_schema import SCHEMA
from hermes_iso.store import Database, open_database


class AgentDatabases:
    """Each agent's sessions.db: opened when the agent is first served, closed when nobody can use it any more."""

    def __init__(self, directory: Path) -> None:
        self.by_agent: dict[str, Database] = {}
        self._directory = directory
        self._stacks: dict[str, AsyncExitStack] = {}
        self._files: dict[str, tuple[int, int] | None] = {}
        self._deleted: list[AsyncExitStack] = []

    async def open(self, agents: Iterable[str]) -> None:
        """Open those of `agents` that are not open yet. Raises UsageError; those before it stay open.

        One whose file was deleted meanwhile, with its agent, is made anew: else the next agent of that name would have the
        sessions of the one before, and lose its own at the end.
        """
        make_private(self._directory)
        for agent in agents:
            own = self._directory / agent
            if agent in self.by_agent and _identity(own / "sessions.db") == self._files[agent]:
                continue
            make_private(own)
            async with AsyncExitStack() as stack:
                database = await stack.enter_async_context(open_database(own / "sessions.db", SCHEMA))
                if agent in self._stacks:
                    self._deleted.append(self._stacks[agent])
                self.by_agent[agent], self._stacks[agent] = database, stack.pop_all()
                self._files[agent] = _identity(own / "sessions.db")

    async def close_all_but(self, agents: Container[str]) -> None:
        """Close those that are of none of `agents`; no turn may use them any more."""
        async with AsyncExitStack() as closing:
            for agent in [each for each in self._stacks if each not in agents]:
                del self.by_agent[agent]
                await closing.enter_async_context(self._stacks.pop(agent))
            while self._deleted:
                await closing.enter_async_context(self._deleted.pop())


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from the next one of its name, None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_dev, found.st_ino)


@dataclass(frozen=True, slots=True)
class Records:
    """The open records of one gateway. `directory` is `<home>/hermes-iso`, `gateway` its gateway.db.

    people: who was let in to talk to which agent.
    """

    directory: Path
    journal: journal.Journal
    sessions: sessions.Sessions
    databases: AgentDatabases
    gateway: Database
    people: Admission


@asynccontextmanager
async def open_records(config: Config) -> AsyncIterator[Records]:
    """Take the home's lock, then open the databases. Raises HomeBusyError, UsageError."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(hold_home(config.home))
        entries = await stack.enter_async_context(open_database(directory / "gateway.db", GATEWAY_SCHEMA, synchronous="full"))
        databases = AgentDatabases(directory / "agents")
        stack.push_async_callback(databases.close_all_but, ())
        await databases.open(config.agents)
        writer = await stack.enter_async_context(journal.open_journal(entries))
        people = await open_admission(entries)
        yield Records(directory, writer, sessions.Sessions(databases.by_agent), databases, entries, people)
