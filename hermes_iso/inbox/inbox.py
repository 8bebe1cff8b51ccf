"""Inbox: messages taken for good. Five verbs: accept, own, events, commit, cancel.

A message is on disk before `accept` returns. What becomes of it is a step from one state to the next, each one transaction, so
that after any death the file says what was done and what was not:

    received -> routed -> running -> answered -> delivered        (parked, refused: nothing more can be done)

In memory there are numbers only; a message is read again when it is let go. One that is handed in again is the one that is
there already. A full disk fails the step, never half of one: `accept` refuses, and every other step is tried again until it
is done, because what it says has happened.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import astuple, replace
from functools import partial
from typing import TypeVar

import apsw
import structlog
import trio

from hermes_iso.errors import DiskFullError, DrainingError, InboxFullError
from hermes_iso.inbox import rows, values
from hermes_iso.inbox.lanes import Lanes
from hermes_iso.inbox.live import Live
from hermes_iso.inbox.switchboard import Switchboard, is_command
from hermes_iso.inbox.values import OUTGOING, About, Row
from hermes_iso.messages import Inbound, Outbound
from hermes_iso.store import Database

DISK_RETRY = 2.0
"""Seconds after which a step is tried again that the disk did not take."""
DISK_AFTER = 30.0
"""Seconds after which a message may be handed in again that the disk did not take."""
SWEEP_EVERY = 3600.0
"""Seconds from one look at what is too old to the next."""
CHATS = About()
Result = TypeVar("Result")


class Inbox:
    """The inbox of one gateway; an adapter's `Intake`."""

    def __init__(self, database: Database, switchboard: Switchboard) -> None:
        self._database = database
        self._switchboard = switchboard
        self._lanes = Lanes()
        self._lives: dict[str, Live] = {}
        self._numbers: dict[str, int] = {}
        self._accepting = trio.Lock()
        self._news = trio.Event()
        self._log = structlog.get_logger()
        self.closing = trio.Event()

    @property
    def tries(self) -> int:
        """How often a message is tried that ends the gateway."""
        return self._switchboard.settings.tries

    @property
    def open(self) -> int:
        """How many messages have not ended."""
        return len(self._lanes)

    @property
    def waiting(self) -> int:
        """How many of them wait for others of their chat."""
        return self._lanes.waiting

    async def load(self) -> int:
        """Take up what an earlier life left; returns how much that is. Called once, before anything else."""
        left = await self._database.run(rows.open_rows)
        for number, turn_id, lane, text, kind in left:
            self._add(
                rows.Taken(number, turn_id, "", repeated=False), lane, at_once=is_command(text), shown=About(kind).asked_for
            )
        return len(left)

    async def accept(self, inbound: Inbound) -> None:
        """Take a message for good; see `adapter.Intake`. Raises InboxFullError, DrainingError."""
        await self.take(inbound)

    async def take(self, inbound: Inbound, *, digest: str = "", about: About = CHATS) -> rows.Taken:
        """Take a message for good and return its row, or the one that it is already. It may be cancelled only before.

        Raises InboxFullError, DrainingError.
        """
        inbound = replace(inbound, turn_id=inbound.turn_id or secrets.token_hex(12))
        lane, at_once = self._switchboard.lane(inbound), self._switchboard.at_once(inbound)
        async with self._accepting:
            with trio.CancelScope(shield=True):
                insert = partial(rows.insert, inbound=inbound, lane=lane, digest=digest, about=about)
                taken = await self._insert(inbound, lane, insert)
                if not taken.repeated:
                    self._add(taken, lane, at_once=at_once, shown=about.asked_for)
        return taken

    async def post(self, inbound: Inbound, outbound: Outbound) -> bool:
        """Take for good what goes to a chat and answers nothing there; whether it was taken before.

        inbound: says by its platform, account and platform_id what it is. Raises InboxFullError, DrainingError.
        """
        inbound = replace(inbound, turn_id=secrets.token_hex(12))
        lane = "outgoing " + values.text_of(astuple(outbound.chat))
        insert = partial(rows.insert_answered, inbound=inbound, outbound=outbound, lane=lane, about=OUTGOING)
        async with self._accepting:
            with trio.CancelScope(shield=True):
                taken = await self._insert(inbound, lane, insert)
                if not taken.repeated:
                    self._add(taken, lane, at_once=False)
        return taken.repeated

    async def _insert(self, inbound: Inbound, lane: str, insert: Callable[[apsw.Connection], rows.Taken]) -> rows.Taken:
        """Put a message on the disk, or find it there. Raises InboxFullError, DrainingError."""
        refusal = self._refusal(lane)
        try:
            if refusal is None:
                return await self._database.run(insert)
            found = await self._database.run(partial(rows.find, inbound=inbound))
        except apsw.Error as error:
            self._log.error("inbox_can_not_write", reason=str(error))
            text = "The gateway's disk takes nothing more now, so this message was not taken: try again later."
            raise DiskFullError(text, DISK_AFTER) from error
        if found is None:
            raise refusal
        return found

    async def own(self) -> Row:
        """Wait for the next message that may go, and return it; `end` says that it is done with."""
        while self.closing.is_set() or (number := self._lanes.next()) is None:
            await self._news.wait()
        return await self.commit(partial(rows.row_of, row_id=number))

    def events(self, turn_id: str) -> Live | None:
        """Return what a message's turn shows while it has not ended, where anybody may ask for that."""
        return self._lives.get(turn_id)

    async def commit(self, step: Callable[[apsw.Connection], Result]) -> Result:
        """Run one step in a transaction; while the disk does not take it, try again. Cancelling leaves all of it or nothing."""
        while True:
            try:
                return await self._database.run(step)
            except apsw.Error as error:
                self._log.error("inbox_can_not_write", reason=str(error), again=DISK_RETRY)
                await trio.sleep(DISK_RETRY)

    def cancel(self, turn_id: str) -> int | None:
        """Take a message away that waits for others, and return its number; None when it does not wait."""
        number = self._numbers.get(turn_id)
        if number is None or not self._lanes.remove(number):
            return None
        del self._numbers[turn_id]
        self._tell()
        return number

    def end(self, row: Row) -> None:
        """Be done with a message in this life: the next one of its chat may go."""
        self._numbers.pop(row.turn_id, None)
        live = self._lives.pop(row.turn_id, None)
        if live is not None:
            live.end(None)
        self._lanes.end(row.id)
        self._tell()

    async def find(self, turn_id: str) -> Row | None:
        """Return a message of the HTTP API by its turn's id."""
        return await self.commit(partial(rows.row_of_turn, turn_id=turn_id))

    async def forget(self, row: Row) -> None:
        """Delete a message that has ended: one that is handed in again is a new one."""
        await self.commit(partial(rows.delete, row_id=row.id))

    async def sweep(self) -> None:
        """Forget, now and then, the messages that ended long ago. Never returns."""
        while True:
            before = time.time() - self._switchboard.settings.keep_days * 86400
            if await self.commit(partial(rows.delete_ended, before=before)):
                await self._database.shrink()
            await trio.sleep(SWEEP_EVERY)

    def close(self) -> None:
        """Take no more messages, and let go none of those that are there: they are for the next life."""
        self.closing.set()

    def _refusal(self, lane: str) -> InboxFullError | DrainingError | None:
        """Return why a message can't be taken now."""
        if self.closing.is_set():
            return DrainingError("The gateway is about to stop and takes no new messages: try again in a moment.")
        settings = self._switchboard.settings
        if len(self._lanes) >= settings.max_queued:
            return InboxFullError(f"{len(self._lanes)} messages wait for answers already: try again in a moment.")
        if self._lanes.waiting_in(lane) >= settings.max_queued_per_chat:
            count = self._lanes.waiting_in(lane)
            return InboxFullError(f"{count} messages of this chat are waiting already: wait for their answers.")
        return None

    def _add(self, taken: rows.Taken, lane: str, *, at_once: bool, shown: bool = False) -> None:
        """Put a message in its lane."""
        self._lanes.add(taken.id, lane, at_once=at_once)
        self._numbers[taken.turn_id] = taken.id
        if shown:
            self._lives[taken.turn_id] = Live()
        self._tell()

    def _tell(self) -> None:
        """Wake who waits for a message."""
        self._news.set()
        self._news = trio.Event()
