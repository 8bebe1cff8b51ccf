"""Search and reading in the sessions of one chat, or of one person's chats in one place: what was said, and where.

The query is data. Its words and quoted phrases are handed to FTS5 as phrases, so nothing in it is syntax. Sessions are ordered
by how much was found in each and not by FTS5's rank, which counts all that the index holds: so what others wrote changes
nothing.
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
PREFIXES, PREFIX_CHARS = 4, 3
"""Words of a query that may stand for all that begin so, and what such a word has to end in at least: `a*` looks at most of
the index, and SQLite can't be stopped meanwhile."""
SEARCHED_SESSIONS = 300
"""Sessions that are searched, those used last."""
SHOWN_CHARS = 1_000
"""Characters of a message in a result."""
SNIPPET_CHARS = 240
_BEGINNING = re.compile(rf"[^\W_]{{{PREFIX_CHARS}}}\W*\Z")
_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')
_OF_ROLES = """
    JOIN messages m ON m.session = w.rowid >> 32 AND m.seq = w.rowid & :seq
        AND json_extract(m.message, '$.role') IN (SELECT value FROM json_each(:roles))
    """
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
    prefixes = PREFIXES
    for number, (phrase, star, word) in enumerate(_TERM.findall(text.replace("\0", " ")[:QUERY_CHARS])):
        if number >= QUERY_TERMS:
            break
        if word == "OR":
            groups.append([])
            continue
        term = phrase or word
        starred = (star or word.endswith("*")) and prefixes > 0 and _BEGINNING.search(term)
        prefix = "*" if starred else ""
        prefixes -= len(prefix)
        if any(character.isalnum() for character in term):
            groups[-1].append('"' + term.replace('"', '""') + '"' + prefix)
    return " OR ".join("(" + " AND ".join(group) + ")" for group in groups if group)


def find(
    connection: apsw.Connection,
    key: ChatKey | None,
    query: str,
    *,
    limit: int,
    sort: str = "",
    roles: Sequence[str] = (),
) -> list[Hit]:
    """Return the sessions in which a query is found: those with most first, or by age when `sort` is newest or oldest."""
    match = quoted(query)
    sessions = {session.id: session for session in sessions_in_scope(connection, key, limit=SEARCHED_SESSIONS)}
    if not match or not sessions:
        return []
    rows = connection.execute(
        f"""
        SELECT w.rowid >> 32, max(w.rowid & :seq), count(*) FROM words w {_OF_ROLES if roles else ""}
        WHERE w.words MATCH :match AND w.rowid BETWEEN :first << 32 AND (:last << 32) | :seq
            AND (w.rowid >> 32) IN (SELECT value FROM json_each(:sessions))
        GROUP BY w.rowid >> 32
        """,  # noqa: S608  literals of ours
        {
            "match": match,
            "seq": (1 << 32) - 1,
            "first": min(sessions),
            "last": max(sessions),
            "sessions": json.dumps(list(sessions)),
            "roles": json.dumps(list(roles)),
        },
    ).fetchall()
    found = {int(str(session)): (int(str(seq)), int(str(count))) for session, seq, count in rows}
    hits = [Hit(session, *found[number]) for number, session in sessions.items() if number in found]
    if not sort:
        hits.sort(key=lambda hit: -hit.count)
    elif sort == "oldest":
        hits.reverse()
    return hits[:limit]


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
