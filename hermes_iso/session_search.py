"""Search and reading in the sessions of one chat, or of one person's chats in one place: what was said, and where.

The query is data. Its words and quoted phrases are handed to FTS5 as phrases, so nothing in it is syntax. Each session is
searched by itself, and sessions are ordered by what was found in them: what others wrote, and how much, changes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import apsw

from hermes_iso.session_rows import ChatKey, SessionRow, select_sessions

JsonObject: TypeAlias = dict[str, Any]

QUERY_CHARS = 1_000
QUERY_TERMS = 32
SEARCHED_SESSIONS = 300
"""Sessions that are searched, those used last."""
HITS = 50
"""Messages that count as found in one session."""
SHOWN_CHARS = 1_000
"""Characters of a message in a result."""
SNIPPET_CHARS = 240
_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')
_SEQ = (1 << 32) - 1
_IN_SCOPE = "(c.identity = ? OR (c.scope = ? AND c.scope != ''))"


@dataclass(frozen=True, slots=True)
class Hit:
    """A session in which something was found: the message that is shown, and in how many it was."""

    session: SessionRow
    seq: int
    count: int


def sessions_in_scope(
    connection: apsw.Connection, key: ChatKey | None, *, limit: int, used_only: bool = True
) -> list[SessionRow]:
    """Return the sessions that a chat may see, the one used last first; `key` None means all of the agent."""
    where, bindings = ("1", ()) if key is None else (_IN_SCOPE, (key.identity, key.scope))
    used = "AND (s.turns > 0 OR s.title != '' OR s.id = c.current)" if used_only else ""
    return select_sessions(connection, f"WHERE {where} {used} ORDER BY s.used_at DESC, s.id DESC LIMIT ?", (*bindings, limit))


def session_in_scope(connection: apsw.Connection, key: ChatKey | None, session_id: str) -> SessionRow | None:
    """Return a session by its id if the chat may see it; `key` None means all of the agent."""
    where, bindings = ("1", ()) if key is None else (_IN_SCOPE, (key.identity, key.scope))
    found = select_sessions(
        connection, f"WHERE s.session_id = ? AND {where} ORDER BY s.used_at DESC LIMIT 1", (session_id, *bindings)
    )
    return found[0] if found else None


def quoted(text: str) -> str:
    """Return a query as FTS5 takes it, "" when no word is left: all words and phrases must occur, unless OR stands between."""
    groups: list[list[str]] = [[]]
    for number, (phrase, star, word) in enumerate(_TERM.findall(text.replace("\0", " ")[:QUERY_CHARS])):
        if number >= QUERY_TERMS:
            break
        if word == "OR":
            groups.append([])
            continue
        term = phrase or word
        prefix = "*" if star or (word and word.endswith("*")) else ""
        if any(character.isalnum() for character in term):
            groups[-1].append('"' + term.replace('"', '""') + '"' + prefix)
    return " OR ".join("(" + " AND ".join(group) + ")" for group in groups if group)


def find(
    connection: apsw.Connection, key: ChatKey | None, query: str, *, limit: int, sort: str = "", roles: Sequence[str] = ()
) -> list[Hit]:
    """Return the sessions in which a query is found: those with most first, or by age when `sort` is newest or oldest."""
    match = quoted(query)
    if not match:
        return []
    hits = []
    for session in sessions_in_scope(connection, key, limit=SEARCHED_SESSIONS):
        found = _found_in(connection, session.id, match, roles)
        if found:
            hits.append(Hit(session, found[-1], len(found)))
    if not sort:
        hits.sort(key=lambda hit: -hit.count)
    elif sort == "oldest":
        hits.reverse()
    return hits[:limit]


def _found_in(connection: apsw.Connection, session: int, match: str, roles: Sequence[str]) -> list[int]:
    """Return the numbers of a session's newest messages that match, in order."""
    rows = connection.execute(
        "SELECT rowid & ? FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?",
        (_SEQ, match, session << 32, (session << 32) | _SEQ, HITS),
    ).fetchall()
    numbers = sorted(int(str(seq)) for (seq,) in rows)
    return [seq for seq in numbers if _has_role(connection, session, seq, roles)] if roles else numbers


def _has_role(connection: apsw.Connection, session: int, seq: int, roles: Sequence[str]) -> bool:
    """Say whether a message is of one of some roles."""
    return any(message["role"] in roles for message in _messages(connection, session, seq, seq))


def around(connection: apsw.Connection, session: int, seq: int, window: int) -> list[JsonObject]:
    """Return the messages around one, `window` on each side, as a result shows them; the one is marked as anchor."""
    before = connection.execute(
        "SELECT min(seq) FROM (SELECT seq FROM messages WHERE session = ? AND seq <= ? ORDER BY seq DESC LIMIT ?)",
        (session, seq, window + 1),
    ).fetchall()[0][0]
    after = connection.execute(
        "SELECT max(seq) FROM (SELECT seq FROM messages WHERE session = ? AND seq >= ? ORDER BY seq LIMIT ?)",
        (session, seq, window + 1),
    ).fetchall()[0][0]
    if not isinstance(before, int) or not isinstance(after, int):
        return []
    shown = [_shown(message) for message in _messages(connection, session, before, after)]
    return [{**message, "anchor": True} if message["id"] == seq else message for message in shown]


def ends(connection: apsw.Connection, session: int, first: int, last: int) -> tuple[list[JsonObject], list[JsonObject]]:
    """Return the first and the last messages of a session, as a result shows them; none is in both."""
    numbers = [
        int(str(seq))
        for (seq,) in connection.execute("SELECT seq FROM messages WHERE session = ? ORDER BY seq", (session,)).fetchall()
    ]
    head = numbers[:first]
    tail = numbers[len(head) :][-last:] if last else []
    return tuple(  # type: ignore[return-value]  # two lists from two
        [_shown(message) for number in part for message in _messages(connection, session, number, number)]
        for part in (head, tail)
    )


def count_around(connection: apsw.Connection, session: int, first: int, last: int) -> tuple[int, int]:
    """Return how many messages of a session come before one number and after another."""
    row = connection.execute(
        "SELECT coalesce(sum(seq < ?), 0), coalesce(sum(seq > ?), 0) FROM messages WHERE session = ?", (first, last, session)
    ).fetchall()[0]
    return int(str(row[0])), int(str(row[1]))


def first_words(connection: apsw.Connection, session: int) -> str:
    """Return how a session begins, for a list."""
    rows = connection.execute("SELECT message FROM messages WHERE session = ? ORDER BY seq LIMIT 1", (session,)).fetchall()
    return " ".join(str(json.loads(str(rows[0][0])).get("content") or "").split())[:60] if rows else ""


def snippet(text: str, query: str) -> str:
    """Return the part of a text around the first word of a query that is in it, the word marked."""
    words = [phrase or word.rstrip("*") for phrase, _, word in _TERM.findall(query[:QUERY_CHARS]) if word != "OR"]
    line = " ".join(text.split())
    places = [(place, len(word)) for word in words if word and (place := line.lower().find(word.lower())) >= 0]
    if not places:
        return line[:SNIPPET_CHARS]
    place, length = min(places)
    start = max(0, place - SNIPPET_CHARS // 2)
    end = place + length + SNIPPET_CHARS // 2
    marked = f"{line[start:place]}>>>{line[place : place + length]}<<<{line[place + length : end]}"
    return ("…" if start else "") + marked + ("…" if end < len(line) else "")


def _messages(connection: apsw.Connection, session: int, first: int, last: int) -> Iterator[JsonObject]:
    """Yield a session's messages between two numbers, with number and time."""
    rows = connection.execute(
        "SELECT seq, at, message FROM messages WHERE session = ? AND seq BETWEEN ? AND ? ORDER BY seq", (session, first, last)
    )
    for seq, at, text in rows.fetchall():
        yield {**json.loads(str(text)), "id": int(str(seq)), "at": float(str(at))}


def _shown(message: JsonObject) -> JsonObject:
    """Return a message as a result shows it: who, what, and which tools were called, cut to a bound."""
    content = str(message.get("content") or "")
    if len(content) > SHOWN_CHARS:
        content = content[:SHOWN_CHARS] + f"… [{len(content) - SHOWN_CHARS} characters more]"
    shown: JsonObject = {"id": message["id"], "role": message["role"], "content": content}
    calls = [call["function"]["name"] for call in message.get("tool_calls", ())]
    return {**shown, "tool_calls": calls[:10]} if calls else shown
