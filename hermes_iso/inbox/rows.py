"""The rows of the inbox: SQL on an open transaction, one function per step of a message's life."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from hermes_iso.history import Message, clean_text
from hermes_iso.inbox.values import (
    About,
    Row,
    State,
    about_of,
    about_text,
    inbound_of,
    inbound_text,
    outbound_of_text,
    outbound_text,
    text_of,
)
from hermes_iso.messages import Inbound, Outbound

_COLUMNS = (
    "id, turn_id, owner, lane, agent, state, tries, tools, sent, digest, about, inbound, outbound, messages, accepted, changed"
)
_OPEN = "state IN ('received', 'routed', 'running', 'answered')"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message that was handed in: its row, and whether it was there already."""

    id: int
    turn_id: str
    digest: str
    repeated: bool


def find(connection: apsw.Connection, inbound: Inbound) -> Taken | None:
    """Return the row of a message that was taken before."""
    found = connection.execute(
        "SELECT id, turn_id, digest FROM inbox WHERE platform = ? AND account = ? AND platform_id = ?", _identity(inbound)
    ).fetchall()
    if not found:
        return None
    row_id, turn_id, digest = found[0]
    return Taken(int(str(row_id)), str(turn_id), str(digest), repeated=True)


def insert(connection: apsw.Connection, inbound: Inbound, lane: str, *, digest: str, about: About) -> Taken:
    """Add a message, unless it is there already. It has a turn id."""
    before = find(connection, inbound)
    if before is not None:
        return before
    now = time.time()
    values = (*_identity(inbound), inbound.turn_id, inbound.namespace, lane, digest, about_text(about), inbound_text(inbound))
    connection.execute(
        "INSERT INTO inbox (platform, account, platform_id, turn_id, owner, lane, digest, about, inbound, accepted, changed)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, now, now),
    )
    return Taken(connection.last_insert_rowid(), inbound.turn_id or "", digest, repeated=False)


def insert_answered(connection: apsw.Connection, inbound: Inbound, outbound: Outbound, lane: str, *, about: About) -> Taken:
    """Add what goes out and answers nothing, unless it is there already: all that is left to do is to deliver it."""
    taken = insert(connection, inbound, lane, digest="", about=about)
    if not taken.repeated:
        set_answered(connection, taken.id, outbound, ())
    return taken


def open_rows(connection: apsw.Connection) -> list[tuple[int, str, str, str, str]]:
    """Return id, turn id, lane, text and kind of each message that something is still to come of, in the order they came."""
    found = connection.execute(
        f"SELECT id, turn_id, lane, inbound ->> 'text', about ->> 'kind' FROM inbox WHERE {_OPEN} ORDER BY id"  # noqa: S608  # a constant
    )
    return [(int(str(row_id)), str(turn), str(lane), str(text), str(kind)) for row_id, turn, lane, text, kind in found]


def row_of(connection: apsw.Connection, row_id: int) -> Row:
    """Return a row by its id."""
    return _row(connection.execute(f"SELECT {_COLUMNS} FROM inbox WHERE id = ?", (row_id,)).fetchall()[0])  # noqa: S608


def row_of_turn(connection: apsw.Connection, turn_id: str) -> Row | None:
    """Return a row by its turn id, None where there is none of which more than its place is left."""
    query = f"SELECT {_COLUMNS} FROM inbox WHERE turn_id = ? AND inbound != ''"  # noqa: S608  # a constant
    found = connection.execute(query, (turn_id,)).fetchall()
    return _row(found[0]) if found else None


def set_routed(connection: apsw.Connection, row_id: int, agent: str) -> None:
    """Note who takes a message."""
    _update(connection, row_id, "state = 'routed', agent = ?", agent)


def set_running(connection: apsw.Connection, row_id: int) -> None:
    """Note that a message's turn begins."""
    _update(connection, row_id, "state = 'running', tries = tries + 1")


def set_tools(connection: apsw.Connection, row_id: int, names: Sequence[str]) -> None:
    """Note what a message's turn has called."""
    _update(connection, row_id, "tools = ?", text_of(list(names)))


def set_answered(connection: apsw.Connection, row_id: int, outbound: Outbound, messages: Sequence[Message]) -> None:
    """Note a message's answer, which is to be delivered."""
    values = (outbound_text(outbound), text_of(list(messages)), outbound.agent)
    _update(connection, row_id, "state = 'answered', outbound = ?, messages = ?, agent = ?", *values)


def set_sent(connection: apsw.Connection, row_id: int, sent: Sequence[str]) -> None:
    """Note the platform's messages that carry an answer."""
    _update(connection, row_id, "sent = ?", text_of(list(sent)))


def set_done(connection: apsw.Connection, row_id: int, state: State, sent: Sequence[str], *, emptied: bool) -> None:
    """Note the end of a message. emptied: of what it said and was answered nothing stays."""
    _update(connection, row_id, "state = ?, sent = ?", state, text_of(list(sent)))
    if emptied:
        _update(connection, row_id, "inbound = '', outbound = '', messages = '[]'")


def delete(connection: apsw.Connection, row_id: int) -> None:
    """Delete a row."""
    connection.execute("DELETE FROM inbox WHERE id = ?", (row_id,))


def delete_ended(connection: apsw.Connection, before: float) -> int:
    """Delete the messages that ended before a time; returns how many."""
    connection.execute(f"DELETE FROM inbox WHERE changed < ? AND NOT {_OPEN}", (before,))  # noqa: S608  # a constant
    return connection.changes()


def _update(connection: apsw.Connection, row_id: int, what: str, *values: Any) -> None:
    """Change a row."""
    connection.execute(f"UPDATE inbox SET {what}, changed = ? WHERE id = ?", (*values, time.time(), row_id))  # noqa: S608


def _identity(inbound: Inbound) -> tuple[str, str, str]:
    """Return what makes two messages the same one."""
    platform, account = inbound.chat.platform.lower(), inbound.chat.account_id or ""
    return clean_text(platform), clean_text(account), clean_text(inbound.platform_id)


def _row(found: tuple[Any, ...]) -> Row:
    """Return a row as a value."""
    row_id, turn_id, owner, lane, agent, state, tries, tools, sent, digest, about, *texts, accepted, changed = found
    inbound, outbound, messages = texts
    return Row(
        id=row_id,
        turn_id=turn_id,
        owner=owner,
        lane=lane,
        agent=agent,
        state=state,
        tries=tries,
        tools=tuple(json.loads(tools)),
        sent=tuple(json.loads(sent)),
        digest=digest,
        about=about_of(about),
        inbound=inbound_of(inbound),
        outbound=outbound_of_text(outbound),
        messages=tuple(json.loads(messages)),
        accepted=accepted,
        changed=changed,
    )
