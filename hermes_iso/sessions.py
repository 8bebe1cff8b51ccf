"""Sessions: one turn at a time in each, in the order they came, and the history that the next turn sees.

A session's identity is the tuple of its parts (`Route.session` and the caller's own id), never its text key, because two
chats can share a text. History lies in one database per agent that no sandbox ever sees. A turn that fails leaves no trace in
it: the user's message and the agent's answer are stored together, in one transaction, or not at all. What a session keeps is
bounded, and a turn reads no more of it than it uses.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import TypeAlias

import apsw
import trio

from hermes_iso.errors import TurnError
from hermes_iso.history import HISTORY_COUNT, Message, clean_text, fitting, from_user, latest
from hermes_iso.messages import Inbound
from hermes_iso.routing import Route
from hermes_iso.store import Database

SCHEMA = (
    """
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, created_at REAL NOT NULL, agent TEXT NOT NULL,
        namespace TEXT NOT NULL, platform TEXT NOT NULL, chat_type TEXT NOT NULL, chat_id TEXT NOT NULL,
        thread_id TEXT NOT NULL, user_id TEXT NOT NULL, caller_id TEXT NOT NULL,
        UNIQUE (agent, namespace, platform, chat_type, chat_id, thread_id, user_id, caller_id)
    ) STRICT;
    CREATE TABLE messages (
        session INTEGER NOT NULL REFERENCES sessions (id), seq INTEGER NOT NULL, at REAL NOT NULL, turn_id TEXT NOT NULL,
        size INTEGER NOT NULL, message TEXT NOT NULL, PRIMARY KEY (session, seq)
    ) STRICT, WITHOUT ROWID;
    """,
)
"""The scripts of sessions.db, one per version."""

KEPT_COUNT = 2_000
"""Messages that a session keeps."""
KEPT_BYTES = 20_000_000
"""Bytes of messages that a session keeps."""
WAITERS = 32
"""Turns that may wait in one session; a further one is refused."""
BUSY_RETRY = 5.0
"""Seconds after which a refused caller may try again."""

Identity: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """One inbound on its way to one outbound.

    processes: names what its background processes belong to. history: earlier messages, oldest first, cut to what fits.
    denied_tools: what its session takes away from what its agent is granted.
    """

    turn_id: str
    route: Route
    inbound: Inbound
    session_id: str
    processes: str
    history: tuple[Message, ...] = ()
    denied_tools: frozenset[str] = frozenset()


class Sessions:
    """All sessions of the served agents. `databases` holds each agent's sessions.db by its id."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases
        self._queues: dict[Identity, trio.Lock] = {}

    @property
    def waiting(self) -> int:
        """How many turns wait for their session's one place."""
        return sum(queue.statistics().tasks_waiting for queue in self._queues.values())

    @asynccontextmanager
    async def open(self, turn_id: str, inbound: Inbound, route: Route) -> AsyncIterator[Turn]:
        """Hold the session's one place and give the turn to take; others of that session wait outside, first come first.

        Raises TurnError: busy when too many wait, internal when the history can't be read. Cancelling leaves the queue.
        """
        identity = (*astuple(route.session), inbound.session_id or "")
        async with self._place(identity):
            yield await self._turn(turn_id, inbound, route, identity)

    async def keep(self, turn: Turn, messages: Sequence[Message]) -> None:
        """Add the user's message and the checked messages of the answer to the history, unless the caller keeps it itself.

        Raises TurnError(internal) when the database can't take it.
        """
        if turn.inbound.history is not None:
            return
        added = [{"role": "user", "content": turn.inbound.text}, *messages]
        texts = [clean_text(json.dumps(each, ensure_ascii=False, separators=(",", ":"))) for each in added]
        rows = [(len(text.encode()), text) for text in texts]
        identity = (*astuple(turn.route.session), turn.inbound.session_id or "")

        def insert(connection: apsw.Connection) -> None:
            session = _find(connection, identity, turn.session_id)
            last = connection.execute("SELECT max(seq) FROM messages WHERE session = ?", (session,)).fetchall()[0][0]
            first = 1 + (last if isinstance(last, int) else 0)
            now = time.time()
            connection.executemany(
                "INSERT INTO messages (session, seq, at, turn_id, size, message) VALUES (?, ?, ?, ?, ?, ?)",
                [(session, first + number, now, turn.turn_id, *row) for number, row in enumerate(rows)],
            )
            _forget_oldest(connection, session)

        try:
            await self._databases[turn.route.agent].run(insert)
        except apsw.Error as error:
            raise TurnError("internal", f"The answer could not be added to the session's history ({error}).") from error

    @asynccontextmanager
    async def _place(self, identity: Identity) -> AsyncIterator[None]:
        """Hold the one place of a session; trio's lock is fair, so those who wait get it in order."""
        queue = self._queues.setdefault(identity, trio.Lock())
        if queue.statistics().tasks_waiting >= WAITERS:
            text = f"{WAITERS} messages of this chat are waiting already: wait for their answers."
            raise TurnError("busy", text, BUSY_RETRY)
        try:
            async with queue:
                yield
        finally:
            statistics = queue.statistics()
            if not statistics.locked and not statistics.tasks_waiting and self._queues.get(identity) is queue:
                del self._queues[identity]

    async def _turn(self, turn_id: str, inbound: Inbound, route: Route, identity: Identity) -> Turn:
        """Make the turn, with its session's stored id and history, or with what the caller gave."""
        if inbound.history is not None:
            session_id = inbound.session_id or new_session_id()
            history = latest(inbound.history)
        else:
            session_id, history = await self._stored(identity, route.agent, inbound.session_id)
        belongs = [*identity[:2], "key", inbound.process_key] if inbound.process_key else identity
        return Turn(turn_id, route, inbound, session_id, json.dumps(belongs), tuple(history))

    async def _stored(self, identity: Identity, agent: str, session_id: str | None) -> tuple[str, list[Message]]:
        """Return a session's id, made now if it is new, and its latest messages."""

        def select(connection: apsw.Connection) -> tuple[str, list[str]]:
            session = _find(connection, identity, session_id or new_session_id())
            named = connection.execute("SELECT session_id FROM sessions WHERE id = ?", (session,)).fetchall()
            sizes = connection.execute(
                "SELECT size FROM messages WHERE session = ? ORDER BY seq DESC LIMIT ?", (session, HISTORY_COUNT)
            ).fetchall()
            count = fitting(int(str(size)) for (size,) in sizes)
            rows = connection.execute(
                "SELECT message FROM messages WHERE session = ? ORDER BY seq DESC LIMIT ?", (session, count)
            ).fetchall()
            return str(named[0][0]), [str(message) for (message,) in reversed(rows)]

        try:
            name, texts = await self._databases[agent].run(select)
        except apsw.Error as error:
            raise TurnError("internal", f"The session's history could not be read ({error}).") from error
        return name, from_user([json.loads(text) for text in texts])


def new_session_id() -> str:
    """Return a fresh session id in Hermes' form: when it began, in UTC, and eight hexadecimal digits."""
    return f"{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}_{secrets.token_hex(4)}"


def _find(connection: apsw.Connection, identity: Identity, session_id: str) -> int:
    """Return the row of a session, made with `session_id` if there is none."""
    connection.execute(
        "INSERT OR IGNORE INTO sessions (agent, namespace, platform, chat_type, chat_id, thread_id, user_id, caller_id,"
        " session_id, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*identity, session_id, time.time()),
    )
    rows = connection.execute(
        "SELECT id FROM sessions WHERE agent = ? AND namespace = ? AND platform = ? AND chat_type = ? AND chat_id = ?"
        " AND thread_id = ? AND user_id = ? AND caller_id = ?",
        identity,
    ).fetchall()
    return int(str(rows[0][0]))


def _forget_oldest(connection: apsw.Connection, session: int) -> None:
    """Delete what a session has too much of, the oldest turns first and whole, so that it begins with a user's message."""
    connection.execute(
        """
        WITH newest AS (
            SELECT seq, turn_id, count(*) OVER newer AS count, sum(size) OVER newer AS bytes
            FROM messages WHERE session = :session WINDOW newer AS (ORDER BY seq DESC)
        ), last AS (SELECT turn_id FROM newest WHERE count > :count OR bytes > :bytes ORDER BY seq DESC LIMIT 1)
        DELETE FROM messages WHERE session = :session
            AND seq <= (SELECT max(seq) FROM newest WHERE turn_id = (SELECT turn_id FROM last))
        """,
        {"session": session, "count": KEPT_COUNT, "bytes": KEPT_BYTES},
    )
