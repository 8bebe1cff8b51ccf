"""SearchBroker: what a turn's guest may read of earlier sessions: those of its own chat and person, and of nobody else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeAlias

import apsw

from hermes_iso.errors import TurnError
from hermes_iso.session_rows import SessionRow
from hermes_iso.session_search import (
    Hit,
    around,
    count_around,
    ends,
    find,
    first_words,
    session_in_scope,
    sessions_in_scope,
    snippet,
)
from hermes_iso.sessions import chat_key
from hermes_iso.work import Work

JsonObject: TypeAlias = dict[str, Any]

TOOL = "session_search"
LIMIT, MOST = 3, 10
"""Sessions in an answer: where nothing is said, and at most."""
WINDOW, MOST_WINDOW = 5, 20
"""Messages shown on each side of one."""
BOOKENDS = 3
"""Messages shown of a session's beginning and end."""
HEAD, TAIL = 20, 10
"""Messages shown of a whole session."""
ANSWER_BYTES = 200_000
"""Most bytes of an answer as JSON: what the guest's tools may return to their model is more."""
MOST_SEARCHES = 100
"""Searches of one turn: they cost the gateway's time and not the agent's."""
ROLES = ("user", "assistant")


class Searches(Protocol):
    """Runs a transaction on an agent's sessions; `hermes_iso.sessions.Sessions` is one."""

    async def run(self, agent: str, transaction: Callable[[apsw.Connection], JsonObject]) -> JsonObject:
        """Run it. Raises TurnError(internal)."""

    async def search(self, agent: str, transaction: Callable[[apsw.Connection], JsonObject]) -> JsonObject:
        """Run one that may take long. Raises TurnError (busy, internal)."""


class SearchBroker:
    """Answers the broker method `session_search` for one turn. Whose sessions those are is the turn's, never a parameter's."""

    def __init__(self, searches: Searches, work: Work) -> None:
        self._searches = searches
        self._agent = work.turn.route.agent
        self._key = chat_key(work.turn.inbound, work.turn.route)
        self._current = work.turn.row
        self._left = MOST_SEARCHES
        self._granted = TOOL in {tool.name for tool in work.tools}

    async def answer(self, params: JsonObject) -> JsonObject:
        """Do what the arguments ask, as Hermes tells it from them.

        Raises TurnError (not_granted, bad_params, not_found, too_many, busy).
        """
        if not self._granted:
            raise TurnError("not_granted", f"The tool {TOOL} is not granted to this turn.")
        session_id, query = _text(params, "session_id"), _text(params, "query")
        anchor = _number(params, "around_message_id", 0, most=(1 << 32) - 1)
        window = max(1, _number(params, "window", WINDOW, most=MOST_WINDOW))
        limit = max(1, _number(params, "limit", LIMIT, most=MOST))
        if session_id and anchor:
            return await self._run(lambda connection: self._scroll(connection, session_id, anchor, window))
        if session_id:
            return await self._run(lambda connection: self._read(connection, session_id))
        if not query.strip():
            return await self._run(lambda connection: self._browse(connection, limit))
        sort, roles = _sort(params), _roles(params)
        discover = partial(self._discover, query=query, limit=limit, sort=sort, roles=roles)
        return await self._run(discover)

    async def _run(self, transaction: Callable[[apsw.Connection], JsonObject]) -> JsonObject:
        """Run a transaction, and count it."""
        if not self._left:
            raise TurnError("too_many", f"This turn has searched {MOST_SEARCHES} times: go on with what was found.")
        self._left -= 1
        return await self._searches.search(self._agent, transaction)

    def _discover(
        self, connection: apsw.Connection, *, query: str, limit: int, sort: str, roles: tuple[str, ...]
    ) -> JsonObject:
        """Find a query; tell each session by its beginning, the place and its end."""
        results: list[JsonObject] = []
        size = 0
        for hit in find(connection, self._key, query, limit=limit, sort=sort, roles=roles):
            result = self._result(connection, hit, query)
            size += len(json.dumps(result, ensure_ascii=False).encode("utf-8", "replace"))
            if size > ANSWER_BYTES:
                break
            results.append(result)
        return {"success": True, "mode": "discover", "query": query, "results": results, "count": len(results)}

    def _result(self, connection: apsw.Connection, hit: Hit, query: str) -> JsonObject:
        """Return one session in which something was found."""
        session = hit.session
        shown = around(connection, session.id, hit.seq, WINDOW)
        first, last = ends(connection, session.id, BOOKENDS, BOOKENDS)
        before, after = count_around(connection, session.id, shown[0]["id"], shown[-1]["id"])
        anchor = next(message for message in shown if message["id"] == hit.seq)
        return {
            **self._head(session),
            "snippet": snippet(anchor["content"], query),
            "matches": hit.count,
            "match_message_id": hit.seq,
            "bookend_start": first,
            "messages": shown,
            "bookend_end": last,
            "messages_before": before,
            "messages_after": after,
        }

    def _scroll(self, connection: apsw.Connection, session_id: str, anchor: int, window: int) -> JsonObject:
        """Show what is around a message."""
        session = self._named(connection, session_id)
        shown = around(connection, session.id, anchor, window)
        if not any(message.get("anchor") for message in shown):
            raise TurnError("not_found", f"Session {session.session_id} has no message {anchor}.")
        before, after = count_around(connection, session.id, shown[0]["id"], shown[-1]["id"])
        more = {"messages": shown, "messages_before": before, "messages_after": after}
        return {"success": True, "mode": "scroll", **self._head(session), **more}

    def _read(self, connection: apsw.Connection, session_id: str) -> JsonObject:
        """Show a session: its first and its last messages."""
        session = self._named(connection, session_id)
        first, last = ends(connection, session.id, HEAD, TAIL)
        left_out = sum(count_around(connection, session.id, 0, 0)) - len(first) - len(last)
        more = {"messages": [*first, *last], "messages_left_out": left_out}
        return {"success": True, "mode": "read", **self._head(session), **more}

    def _browse(self, connection: apsw.Connection, limit: int) -> JsonObject:
        """List the sessions used last."""
        sessions = sessions_in_scope(connection, self._key, limit=limit)
        results = [{**self._head(each), "preview": first_words(connection, each.id)} for each in sessions]
        return {"success": True, "mode": "browse", "results": results, "count": len(results)}

    def _named(self, connection: apsw.Connection, session_id: str) -> SessionRow:
        """Return the session of an id. Raises TurnError(not_found): one of somebody else does not exist."""
        session = session_in_scope(connection, self._key, session_id)
        if session is None:
            raise TurnError("not_found", f"This chat has no session {session_id[:80]!r}.")
        return session

    def _head(self, session: SessionRow) -> JsonObject:
        """Return what every result says of its session."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(session.used_at))
        head: JsonObject = {"session_id": session.session_id, "title": session.title or None, "when": when}
        return {**head, "current": True} if session.id == self._current else head


def _text(params: JsonObject, name: str) -> str:
    """Return a text of the guest's parameters, "" where there is none."""
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise TurnError("bad_params", f"{TOOL} takes {name} as text.")
    return (value or "").encode("utf-8", "replace").decode()


def _number(params: JsonObject, name: str, default: int, *, most: int) -> int:
    """Return a whole number of the guest's parameters, at most `most`."""
    value = params.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise TurnError("bad_params", f"{TOOL} takes {name} as a whole number.")
    return min(value, most)


def _sort(params: JsonObject) -> str:
    """Return the order that is asked for."""
    sort = _text(params, "sort")
    if sort not in ("", "newest", "oldest"):
        raise TurnError("bad_params", f"{TOOL} takes newest or oldest as sort.")
    return sort


def _roles(params: JsonObject) -> tuple[str, ...]:
    """Return the roles that count; the words of tools are not indexed."""
    asked = [role.strip() for role in _text(params, "role_filter").split(",") if role.strip()]
    if not set(asked) <= set(ROLES):
        raise TurnError("bad_params", f"{TOOL} searches what was said, so role_filter is made of {' and '.join(ROLES)}.")
    return tuple(asked)
