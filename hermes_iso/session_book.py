"""SessionBook: what people do with the sessions of their chat: begin, list, go back to, name, change, shorten, search."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import apsw

from hermes_iso.history import Message
from hermes_iso.messages import ChatRef
from hermes_iso.session_rows import (
    ChatKey,
    SessionRow,
    add_messages,
    begin_session,
    copy_messages,
    current_session,
    delete_messages,
    enter_session,
    last_exchange,
    next_number,
)
from hermes_iso.session_search import find, first_words, session_in_scope, sessions_in_scope
from hermes_iso.session_settings import SessionSettings
from hermes_iso.sessions import Sessions, new_session_id, stored_text

LISTED = 20
"""Sessions in a list."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A session in a list: how it begins, and whether the chat is in it."""

    session: SessionRow
    preview: str
    current: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message of the user's in a session: the turn that it began, its text, and how many exchanges there are from it on."""

    turn_id: str
    text: str
    count: int


class SessionBook:
    """The sessions of one chat under one agent. All methods raise TurnError(internal) when the database fails.

    named: the session id that the caller gave the chat, for its first session.
    """

    def __init__(self, sessions: Sessions, agent: str, key: ChatKey, named: str | None = None) -> None:
        self.key = key
        self._sessions = sessions
        self._agent = agent
        self._named = named

    async def current(self) -> SessionRow | None:
        """Return the session that the chat is in; None before its first turn."""
        return await self._sessions.run(self._agent, lambda connection: current_session(connection, self.key))

    async def begin(self, title: str = "") -> SessionRow:
        """Begin a fresh session, and be in it."""
        return await self._sessions.run(
            self._agent, lambda connection: begin_session(connection, self.key, new_session_id(), title=title)
        )

    async def listed(self, *, everybody: bool = False, query: str = "") -> list[Listed]:
        """Return the chat's sessions, the one used last first, or those in which something is found.

        everybody: those of all chats of the agent. Raises TurnError(busy) when the search takes too long.
        """
        key = None if everybody else self.key

        def select(connection: apsw.Connection) -> list[Listed]:
            current = current_session(connection, self.key)
            rows = sessions_in_scope(connection, key, limit=LISTED)
            if query:
                rows = [hit.session for hit in find(connection, key, query, limit=LISTED)]
            return [Listed(row, first_words(connection, row.id), current is not None and row.id == current.id) for row in rows]

        run = self._sessions.search if query else self._sessions.run
        return await run(self._agent, select)

    async def resume(self, wanted: str, *, everybody: bool = False) -> tuple[SessionRow, bool] | None:
        """Go back to a session by its number in the list, its id or its title; None when there is none.

        One of another chat is copied, so that it goes on undisturbed there; then the second value is True.
        """

        def enter(connection: apsw.Connection) -> tuple[SessionRow, bool] | None:
            found = self._named_session(connection, wanted, everybody=everybody)
            if found is None:
                return None
            here = current_session(connection, self.key)
            if here is not None and here.chat == found.chat:
                enter_session(connection, found.chat, found.id)
                return found, False
            copy = begin_session(connection, self.key, new_session_id(), title=found.title)
            copy_messages(connection, found.id, copy.id)
            return replace(copy, turns=found.turns), True

        return await self._sessions.run(self._agent, enter)

    def _named_session(self, connection: apsw.Connection, wanted: str, *, everybody: bool) -> SessionRow | None:
        """Return the session that a word of a person means."""
        key = None if everybody else self.key
        rows = sessions_in_scope(connection, self.key, limit=LISTED)
        if wanted.isascii() and wanted.isdecimal() and 0 < int(wanted[:9]) <= len(rows):
            return rows[int(wanted[:9]) - 1]
        found = session_in_scope(connection, key, wanted)
        if found is not None:
            return found
        titled = [row for row in sessions_in_scope(connection, key, limit=10_000) if row.title]
        words = wanted.casefold()
        exact = (row for row in titled if row.title.casefold() == words)
        return next(exact, None) or next((row for row in titled if row.title.casefold().startswith(words)), None)

    async def rename(self, title: str) -> SessionRow:
        """Give the chat's session a title."""

        def update(connection: apsw.Connection) -> SessionRow:
            row = self._ensured(connection)
            connection.execute("UPDATE sessions SET title = ? WHERE id = ?", (title, row.id))
            return row

        return await self._sessions.run(self._agent, update)

    async def change(self, change: Callable[[SessionSettings], SessionSettings]) -> SessionSettings:
        """Change the session's own settings and return them."""

        def update(connection: apsw.Connection) -> SessionSettings:
            row = self._ensured(connection)
            settings = change(SessionSettings.from_text(row.settings))
            connection.execute("UPDATE sessions SET settings = ? WHERE id = ?", (settings.as_text(), row.id))
            return settings

        return await self._sessions.run(self._agent, update)

    async def last(self) -> Exchange | None:
        """Return the last exchange of the chat's session."""

        def select(connection: apsw.Connection) -> Exchange | None:
            row = current_session(connection, self.key)
            found = last_exchange(connection, row.id) if row else None
            return None if found is None else _exchange(found)

        return await self._sessions.run(self._agent, select)

    async def undo(self, count: int) -> Exchange | None:
        """Remove the last exchanges of the chat's session; returns the first of them, None when there is nothing."""

        def delete(connection: apsw.Connection) -> Exchange | None:
            row = current_session(connection, self.key)
            found = last_exchange(connection, row.id, count) if row else None
            if row is None or found is None:
                return None
            delete_messages(connection, row.id, found[0])
            return _exchange(found)

        return await self._sessions.run(self._agent, delete)

    async def count_messages(self) -> int:
        """Return how many messages the chat's session has."""

        def count(connection: apsw.Connection) -> int:
            row = current_session(connection, self.key)
            query = "SELECT count(*) FROM messages WHERE session = ?"
            return int(str(connection.execute(query, (row.id,)).fetchall()[0][0])) if row else 0

        return await self._sessions.run(self._agent, count)

    async def shorten(self, kept: int, turn_id: str, messages: Sequence[Message]) -> tuple[int, int]:
        """Put some messages in the place of all but the last `kept` exchanges.

        Returns how many messages went, and how many there are now.
        """

        def shorten(connection: apsw.Connection) -> tuple[int, int]:
            row = self._ensured(connection)
            tail = last_exchange(connection, row.id, kept) if kept else None
            end = tail[0] if tail is not None else next_number(connection, row.id)
            gone = delete_messages(connection, row.id, 0, end - 1)
            add_messages(connection, row.id, end - len(messages), turn_id, [stored_text(each) for each in messages])
            query = "SELECT count(*) FROM messages WHERE session = ?"
            return gone, int(str(connection.execute(query, (row.id,)).fetchall()[0][0]))

        return await self._sessions.run(self._agent, shorten)

    async def set_home(self, chat: ChatRef, by: str) -> None:
        """Note a chat as the agent's home on its platform."""
        values = (
            chat.platform.lower(),
            chat.chat_type,
            chat.chat_id,
            chat.thread_id or "",
            by,
            time.time(),
            chat.account_id or "",
        )

        def insert(connection: apsw.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO home_chats VALUES (?, ?, ?, ?, ?, ?, ?)", values)

        await self._sessions.run(self._agent, insert)

    def _ensured(self, connection: apsw.Connection) -> SessionRow:
        """Return the chat's session, begun now where it has none."""
        row = current_session(connection, self.key)
        return row or begin_session(connection, self.key, self._named or new_session_id())


def _exchange(found: tuple[int, str, str, int]) -> Exchange:
    """Return an exchange as a person knows it."""
    _, turn_id, message, count = found
    return Exchange(turn_id, str(json.loads(message).get("content") or ""), count)
