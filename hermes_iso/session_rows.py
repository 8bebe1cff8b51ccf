"""Chats, sessions and messages as rows of sessions.db: each function is a part of one transaction.

A chat has one current session and keeps earlier ones. Nothing here decides who may see what: callers give the chat's identity,
and the scope of those that belong together.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import apsw

from hermes_iso.history import HISTORY_COUNT, fitting
from hermes_iso.messages import Usage

KEPT_COUNT = 2_000
"""Messages that a session keeps."""
KEPT_BYTES = 20_000_000
"""Bytes of messages that a session keeps."""
KEPT_SESSIONS, KEPT_IN_CHAT = 100, 200_000_000
"""Sessions that a chat keeps, the newest by use, and their bytes; its current one is always among them."""
KEPT_IN_NAMESPACE, KEPT_BYTES_IN_NAMESPACE = 10_000, 4_000_000_000
"""Sessions, and their bytes, that all chats, or all chats of one API key, keep together under an agent."""
SWEEP_EVERY = 64
"""New sessions from one count of them all to the next."""


@dataclass(frozen=True, slots=True)
class ChatKey:
    """Which chat, in the database of its agent.

    identity: the chat, as the JSON text of its parts. scope: what it shares with the other chats of the same person in the same
    place. namespace: the API key's, empty for chats.
    """

    identity: str
    scope: str
    namespace: str


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session. `id` is the row, `session_id` the name that people see; `settings` is JSON; `turns` counts all it took."""

    id: int
    chat: int
    session_id: str
    title: str
    settings: str
    used_at: float
    turns: int
    usage: Usage


_COLUMNS = "s.id, s.chat, s.session_id, s.title, s.settings, s.used_at, s.turns, s.prompt_tokens, s.completion_tokens, s.calls"


def session_row(values: Sequence[object]) -> SessionRow:
    """Return the session in the columns that `select_sessions` asks for."""
    row, chat, name, title, settings, used_at, turns, *tokens = values
    usage = Usage(*(int(str(each)) for each in tokens))
    return SessionRow(
        int(str(row)), int(str(chat)), str(name), str(title), str(settings), float(str(used_at)), int(str(turns)), usage
    )


def select_sessions(connection: apsw.Connection, rest: str, bindings: Sequence[str | int]) -> list[SessionRow]:
    """Return the sessions that the rest of a query selects: `s` is the session, `c` its chat. `rest` is a literal of ours."""
    query = f"SELECT {_COLUMNS} FROM sessions s JOIN chats c ON c.id = s.chat {rest}"  # noqa: S608  literals of ours
    return [session_row(row) for row in connection.execute(query, tuple(bindings))]


def current_session(connection: apsw.Connection, key: ChatKey) -> SessionRow | None:
    """Return the session that a chat is in, or None when it has none yet."""
    found = select_sessions(connection, "WHERE c.identity = ? AND s.id = c.current", (key.identity,))
    return found[0] if found else None


def begin_session(
    connection: apsw.Connection, key: ChatKey, session_id: str, *, title: str = "", settings: str = "{}"
) -> SessionRow:
    """Make a session the chat's current one and return it; what is too much of the older ones is forgotten."""
    connection.execute(
        "INSERT OR IGNORE INTO chats (identity, scope, namespace, current) VALUES (?, ?, ?, 0)",
        (key.identity, key.scope, key.namespace),
    )
    chat = int(str(connection.execute("SELECT id FROM chats WHERE identity = ?", (key.identity,)).fetchall()[0][0]))
    now = time.time()
    connection.execute(
        "INSERT INTO sessions (chat, session_id, created_at, used_at, title, settings) VALUES (?, ?, ?, ?, ?, ?)",
        (chat, session_id, now, now, title, settings),
    )
    row = connection.last_insert_rowid()
    enter_session(connection, chat, row)
    _forget_sessions(connection, "s.chat = ?", chat, KEPT_SESSIONS, KEPT_IN_CHAT)
    if row % SWEEP_EVERY == 0:
        _forget_sessions(connection, "c.namespace = ?", key.namespace, KEPT_IN_NAMESPACE, KEPT_BYTES_IN_NAMESPACE)
    return SessionRow(row, chat, session_id, title, settings, now, 0, Usage())


def enter_session(connection: apsw.Connection, chat: int, session: int) -> None:
    """Make one of a chat's sessions its current one."""
    connection.execute("UPDATE chats SET current = ? WHERE id = ?", (session, chat))
    connection.execute("UPDATE sessions SET used_at = ? WHERE id = ?", (time.time(), session))


def copy_messages(connection: apsw.Connection, source: int, target: int) -> None:
    """Give a session the latest messages of another, as many as a turn would read of it."""
    count = len(read_history(connection, source))
    connection.execute(
        "INSERT INTO messages (session, seq, at, turn_id, size, message)"
        " SELECT ?, seq, at, turn_id, size, message FROM messages WHERE session = ? ORDER BY seq DESC LIMIT ?",
        (target, source, count),
    )
    connection.execute(
        "UPDATE sessions SET turns = (SELECT turns FROM sessions WHERE id = ?) WHERE id = ?",
        (source, target),
    )


def read_history(connection: apsw.Connection, session: int, before: int | None = None) -> list[str]:
    """Return a session's latest messages that fit in a turn's request, oldest first; `before` leaves out those from it on."""
    end = 1 << 62 if before is None else before
    sizes = connection.execute(
        "SELECT size FROM messages WHERE session = ? AND seq < ? ORDER BY seq DESC LIMIT ?", (session, end, HISTORY_COUNT)
    ).fetchall()
    count = fitting(int(str(size)) for (size,) in sizes)
    rows = connection.execute(
        "SELECT message FROM messages WHERE session = ? AND seq < ? ORDER BY seq DESC LIMIT ?", (session, end, count)
    ).fetchall()
    return [str(message) for (message,) in reversed(rows)]


def last_exchange(connection: apsw.Connection, session: int, count: int = 1) -> tuple[int, str, str, int] | None:
    """Return (first number, turn id, first message, how many) of a session's last exchanges, or None without any."""
    rows = connection.execute(
        "SELECT min(seq), turn_id FROM messages WHERE session = ? GROUP BY turn_id ORDER BY min(seq) DESC LIMIT ?",
        (session, count),
    ).fetchall()
    if not rows:
        return None
    first = int(str(rows[-1][0]))
    text = connection.execute("SELECT message FROM messages WHERE session = ? AND seq = ?", (session, first)).fetchall()[0][0]
    return first, str(rows[-1][1]), str(text), len(rows)


def delete_messages(connection: apsw.Connection, session: int, first: int, last: int = 1 << 62) -> int:
    """Delete a session's messages from one number to another; return how many those were."""
    connection.execute("DELETE FROM messages WHERE session = ? AND seq BETWEEN ? AND ?", (session, first, last))
    return connection.changes()


def add_messages(connection: apsw.Connection, session: int, first: int, turn_id: str, texts: Sequence[str]) -> None:
    """Add a turn's messages, numbered from `first` on, and forget what is too much of the oldest."""
    now = time.time()
    connection.executemany(
        "INSERT INTO messages (session, seq, at, turn_id, size, message) VALUES (?, ?, ?, ?, ?, ?)",
        [(session, first + number, now, turn_id, len(text.encode()), text) for number, text in enumerate(texts)],
    )
    _forget_oldest(connection, session)


def next_number(connection: apsw.Connection, session: int) -> int:
    """Return the number of a session's next message."""
    last = connection.execute("SELECT max(seq) FROM messages WHERE session = ?", (session,)).fetchall()[0][0]
    return 1 + (last if isinstance(last, int) else 0)


def charge_session(connection: apsw.Connection, session: int, session_id: str, usage: Usage, *, turns: int) -> bool:
    """Add what a turn cost; False when there is no such session any more."""
    connection.execute(
        "UPDATE sessions SET used_at = ?, turns = turns + ?, calls = calls + ?, prompt_tokens = prompt_tokens + ?,"
        " completion_tokens = completion_tokens + ? WHERE id = ? AND session_id = ?",
        (time.time(), turns, usage.calls, usage.prompt_tokens, usage.completion_tokens, session, session_id),
    )
    return connection.changes() == 1


def _forget_sessions(connection: apsw.Connection, which: str, value: str | int, kept: int, kept_bytes: int) -> None:
    """Delete all but the sessions that were used last, of those that `which` selects: `kept` of them, and so many bytes.

    Among a chat's own the one that it is in stays. Of all in a namespace it may go, and then the chat goes too.
    """
    current = "s.id = c.current DESC, " if which.startswith("s.chat") else ""
    query = f"""
        WITH ordered AS (
            SELECT s.id AS id, row_number() OVER recent AS number, sum(s.bytes) OVER recent AS bytes
            FROM sessions s JOIN chats c ON c.id = s.chat WHERE {which}
            WINDOW recent AS (ORDER BY {current}s.used_at DESC, s.id DESC)
        ) SELECT id FROM ordered WHERE number > ? OR bytes > ?
        """  # noqa: S608  literals of ours
    doomed = connection.execute(query, (value, kept, kept_bytes)).fetchall()
    connection.executemany("DELETE FROM messages WHERE session = ?", doomed)
    connection.executemany("DELETE FROM sessions WHERE id = ?", doomed)
    if doomed:
        connection.execute("DELETE FROM chats WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE chat = chats.id)")


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
