"""Journal: the durable record of what happened in each turn, keyed by turn id. It holds no text of any message.

Entries are written in batches by one task beside the turns, so that no turn waits for the disk. The queue is bounded: when
the disk can't keep up, turns wait rather than entries being lost. At the end everything that was added is written before the
database closes. What is too old or too much is deleted when the journal is opened, and again after so many new entries:
everybody who may write to an agent makes some.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import apsw
import structlog
import trio

from hermes_iso.background import Background
from hermes_iso.errors import UsageError
from hermes_iso.history import clean_text
from hermes_iso.store import Database

SCHEMA = (
    """
    CREATE TABLE journal (
        turn_id TEXT NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, agent TEXT NOT NULL, session_key TEXT NOT NULL,
        kind TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (turn_id, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX journal_by_time ON journal (at);
    """,
)
"""The scripts of gateway.db, one per version."""

QUEUE = 4096
"""Entries that may wait to be written."""
KEPT_SECONDS = 90 * 86400.0
"""Age from which an entry is deleted."""
KEPT_COUNT = 500_000
"""Entries that are kept, the newest."""
SWEEP_EVERY = 20_000
"""New entries from one look at what is too much to the next."""
TOOL_EVENTS = 1000
"""Tool events of a turn that are recorded one by one; of the others it is recorded how many there were."""
CLOSE_TIMEOUT = 10.0
"""Seconds for the last entries at the end."""

Entry: TypeAlias = tuple[str, int, float, str, str, str, str]


class Journal:
    """Takes entries and has them written; see `open_journal`."""

    def __init__(self, queue: trio.MemorySendChannel[Entry]) -> None:
        self._queue = queue

    def turn(self, turn_id: str, agent: str, session_key: str) -> TurnLog:
        """Return where one turn's entries go."""
        return TurnLog(self, turn_id, agent, session_key)

    async def add(self, entry: Entry) -> None:
        """Queue an entry; waits while the queue is full."""
        await self._queue.send(entry)


class TurnLog:
    """The journal of one turn; numbers its entries."""

    def __init__(self, journal: Journal, turn_id: str, agent: str, session_key: str) -> None:
        self.turn_id = turn_id
        self._journal = journal
        self._agent = agent
        self._session_key = clean_text(session_key)
        self._seq = 0
        self._tool_events = 0

    def below(self, turn_id: str) -> TurnLog:
        """Return where the entries of a turn go that this one delegated."""
        return TurnLog(self._journal, turn_id, self._agent, self._session_key)

    async def add(self, kind: str, **data: Any) -> None:
        """Record an event. `data` is JSON: sizes, names, durations, statuses, and never the text of a message."""
        self._seq += 1
        text = clean_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
        await self._journal.add((self.turn_id, self._seq, time.time(), self._agent, self._session_key, kind, text))

    async def add_last(self, kind: str, **data: Any) -> None:
        """Record an event although the turn is being cancelled; waits a second at most."""
        with trio.move_on_after(1, shield=True):
            await self.add(kind, **data)

    async def add_tool(self, kind: str, **data: Any) -> None:
        """Record something that a guest says of a tool, while it does not say too much."""
        self._tool_events += 1
        if self._tool_events <= TOOL_EVENTS:
            await self.add(kind, **data)

    async def add_tool_rest(self) -> None:
        """Record how many tool events were left out, although the turn may be being cancelled."""
        if self._tool_events > TOOL_EVENTS:
            await self.add_last("more_tool_events", not_recorded=self._tool_events - TOOL_EVENTS)


@asynccontextmanager
async def open_journal(database: Database, *, kept: int = KEPT_COUNT) -> AsyncIterator[Journal]:
    """Keep a journal in `database`, of which only the newest `kept` entries stay. On leaving, all entries are written.

    Raises UsageError when the old entries can't be deleted.
    """
    try:
        await database.run(partial(_forget, time.time() - KEPT_SECONDS, kept))
    except apsw.Error as error:
        raise UsageError(f"The journal can't be written ({error}): check the disk that holds the home.") from error
    send, receive = trio.open_memory_channel[Entry](QUEUE)
    scope = trio.CancelScope(shield=True)
    async with Background() as nursery:
        nursery.start_soon(_write_all, database, receive, scope, kept)
        try:
            yield Journal(send)
        finally:
            send.close()
            scope.deadline = trio.current_time() + CLOSE_TIMEOUT


async def _write_all(database: Database, receive: trio.MemoryReceiveChannel[Entry], scope: trio.CancelScope, kept: int) -> None:
    """Write entries until the sending side is closed and the queue is empty; only `scope` ends it earlier."""
    log = structlog.get_logger()
    written = 0
    with scope:
        async for first in receive:
            batch = [first]
            while receive.statistics().current_buffer_used:
                batch.append(receive.receive_nowait())
            try:
                await database.run(partial(_insert, batch))
                written += len(batch)
                if written >= SWEEP_EVERY:
                    await database.run(partial(_forget, time.time() - KEPT_SECONDS, kept))
                    written = 0
            except apsw.Error as error:
                log.error("journal_entries_lost", count=len(batch), reason=str(error))


def _insert(rows: list[Entry], connection: apsw.Connection) -> None:
    """Insert a batch."""
    connection.executemany("INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _forget(before: float, kept: int, connection: apsw.Connection) -> None:
    """Delete the entries before a time, and all but the newest `kept`."""
    connection.execute("DELETE FROM journal WHERE at < ?", (before,))
    connection.execute(
        "DELETE FROM journal WHERE (turn_id, seq) IN"
        " (SELECT turn_id, seq FROM journal ORDER BY at DESC, turn_id DESC, seq DESC LIMIT -1 OFFSET ?)",
        (kept,),
    )
