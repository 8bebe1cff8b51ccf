"""Admission: who may talk to which agent over a chat platform: by the config's lists, or because an admin has let them in.

A stranger's direct message is answered with a code, where the config wants that; an admin of the agent who is told the code, by
some other way, lets its sender in. What was decided is kept in gateway.db alone: no agent can write there. A code is made for
one person, one agent and an hour, and there are only so many at a time, so that strangers can't fill the database.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import apsw

from hermes_iso.config.schema import AccessRules, Config
from hermes_iso.messages import Inbound
from hermes_iso.store import Database

SCRIPT = """
    CREATE TABLE paired (
        agent TEXT NOT NULL, platform TEXT NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (agent, platform, user_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pairing_codes (
        agent TEXT NOT NULL, platform TEXT NOT NULL, user_id TEXT NOT NULL, code TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (agent, platform, user_id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE pairing_imports (agent TEXT PRIMARY KEY, at REAL NOT NULL) STRICT, WITHOUT ROWID;
    """
"""What gateway.db needs for it."""
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
CODE_LENGTH = 8
CODE_SECONDS = 3600.0
"""Seconds for which a code holds."""
AGAIN_SECONDS = 600.0
"""Seconds after which a stranger who writes again is told again."""
MOST_CODES = 50
"""Codes of an agent on a platform that hold at a time."""
MOST_PAIRED = 10_000
"""People of an agent that are kept."""


@dataclass(frozen=True, slots=True, order=True)
class Paired:
    """Somebody whom an admin let in. `at` is Unix time."""

    agent: str
    platform: str
    user_id: str
    name: str = ""
    at: float = 0.0


class Admission:
    """Knows who was let in, and keeps it on disk; see `open_admission`."""

    def __init__(self, database: Database, paired: Iterable[Paired]) -> None:
        self._database = database
        self._paired = {(each.agent, each.platform, each.user_id): each for each in paired}

    def admits(self, inbound: Inbound, agent: str | None, config: Config) -> bool:
        """Say whether the sender of a message may talk to an agent; None is for a message that no agent takes."""
        chat = inbound.chat
        people = {each for each in (inbound.user_id, inbound.user_id_alt) if each}
        rules = rules_for(config, inbound, agent)
        if is_listed(rules, people, None if chat.chat_type == "dm" else chat.chat_id) or not rules.roles.isdisjoint(
            inbound.roles
        ):
            return True
        return agent is not None and any((agent, chat.platform, person) in self._paired for person in people)

    def of(self, agent: str) -> list[Paired]:
        """Return the people of an agent, sorted."""
        return sorted(each for each in self._paired.values() if each.agent == agent)

    async def offer(self, agent: str, platform: str, user_id: str) -> str | None:
        """Return a code for a stranger, None for one who was told lately, or when too many wait."""
        now = time.time()

        def work(connection: apsw.Connection) -> str | None:
            connection.execute("DELETE FROM pairing_codes WHERE at < ?", (now - CODE_SECONDS,))
            where = (agent, platform)
            rows = connection.execute(
                "SELECT user_id, at FROM pairing_codes WHERE (agent, platform) = (?, ?)", where
            ).fetchall()
            told: Any = next((at for user, at in rows if user == user_id), None)
            if (told is not None and now - told < AGAIN_SECONDS) or (told is None and len(rows) >= MOST_CODES):
                return None
            code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
            connection.execute("REPLACE INTO pairing_codes VALUES (?, ?, ?, ?, ?)", (*where, user_id, code, now))
            return code

        return await self._database.run(work)

    async def waiting(self, agent: str) -> list[Paired]:
        """Return who has a code of an agent that holds; nobody but its owner is shown the code itself."""
        since = time.time() - CODE_SECONDS

        def work(connection: apsw.Connection) -> list[Paired]:
            query = "SELECT platform, user_id, at FROM pairing_codes WHERE agent = ? AND at > ? ORDER BY platform, at"
            rows: list[Any] = connection.execute(query, (agent, since)).fetchall()
            return [Paired(agent, platform, user_id, at=at) for platform, user_id, at in rows]

        return await self._database.run(work)

    async def approve(self, agent: str, platform: str, code: str) -> Paired | None:
        """Let in whoever has a code; returns who that is, None when nobody has it, or not any more."""
        since = time.time() - CODE_SECONDS
        where = (agent, platform, code.strip().upper(), since)

        def work(connection: apsw.Connection) -> str | None:
            query = "DELETE FROM pairing_codes WHERE agent = ? AND platform = ? AND code = ? AND at > ? RETURNING user_id"
            found = connection.execute(query, where).fetchall()
            return str(found[0][0]) if found else None

        user_id = await self._database.run(work)
        if user_id is None:
            return None
        person = Paired(agent, platform, user_id, at=time.time())
        await self.admit([person])
        return person

    async def admit(self, people: Iterable[Paired]) -> None:
        """Let people in, up to a bound for each agent."""
        fresh = [each for each in people if len(self.of(each.agent)) < MOST_PAIRED]

        def work(connection: apsw.Connection) -> None:
            rows = [(each.agent, each.platform, each.user_id, each.name, each.at) for each in fresh]
            connection.executemany("REPLACE INTO paired VALUES (?, ?, ?, ?, ?)", rows)

        await self._database.run(work)
        self._paired |= {(each.agent, each.platform, each.user_id): each for each in fresh}

    async def revoke(self, agent: str, platform: str, user_id: str) -> bool:
        """Let somebody in no more; say whether they had been."""
        key = (agent, platform, user_id)

        def work(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM paired WHERE (agent, platform, user_id) = (?, ?, ?)", key)

        await self._database.run(work)
        return self._paired.pop(key, None) is not None

    async def import_once(self, agent: str, people: Iterable[Paired]) -> bool:
        """Let in the people that another gateway had let in; False when that was done before, so that nobody comes back."""

        def work(connection: apsw.Connection) -> bool:
            connection.execute("INSERT OR IGNORE INTO pairing_imports VALUES (?, ?)", (agent, time.time()))
            return connection.changes() == 1

        first = await self._database.run(work)
        if first:
            await self.admit(people)
        return first


async def open_admission(database: Database) -> Admission:
    """Read who was let in from a gateway.db."""

    def work(connection: apsw.Connection) -> list[Paired]:
        rows: list[Any] = connection.execute("SELECT agent, platform, user_id, name, at FROM paired").fetchall()
        return [Paired(*row) for row in rows]

    return Admission(database, await database.run(work))


def rules_for(config: Config, inbound: Inbound, agent: str | None) -> AccessRules:
    """Return whose lists count for a message: the agent's own profile's, else those of the account that it came through."""
    chat = inbound.chat
    own = config.agent_access.get((chat.platform, agent)) if agent is not None else None
    account = (chat.account_id or "").partition("/")[0]  # what is behind it, a bridge says
    return own or config.access.get((chat.platform, account), AccessRules(pairs=False))


def is_listed(rules: AccessRules, people: set[str], group: str | None) -> bool:
    """Say whether one of these ids is let in by name, or by the group that they write in; None is a direct chat."""
    names = rules.users if group is None else rules.users | rules.group_users
    if "*" in names or not names.isdisjoint(people):
        return True
    return group is not None and ("*" in rules.group_chats or group in rules.group_chats or group in rules.group_users)
