"""Runner: takes the inbox's messages through the line, and brings the answers to their chats.

What an earlier life left is decided here, by what its row says:

- answered: the answer is delivered.
- its turn is in the session's history: it had ended, so its answer is delivered.
- its turn had called a tool: it is not run again, because nobody knows how far the tool came; its chat is told, unless the
  agent says `resume: rerun`.
- else it is run, at most `tries` times in all: a message that ends the gateway each time is put aside, and its chat is told.

An answer is delivered at least once: where the gateway dies between the platform's taking it and the note of that, it is sent
again. Nothing else is between the two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Protocol

import structlog
import trio

from hermes_iso.adapter import Answering, Chats, OutboundFile, Relay
from hermes_iso.delivery import Deliver
from hermes_iso.errors import DeliveryError, DrainingError, RouteRejectedError
from hermes_iso.inbox import rows
from hermes_iso.inbox.inbox import Inbox
from hermes_iso.inbox.row_ledger import RowLedger
from hermes_iso.inbox.values import Row, State
from hermes_iso.messages import Inbound, Outbound, Progress, Receipt

DELIVERY_TRIES = 10
"""Tries to deliver an answer that another try can help."""
FIRST_DELAY, MOST_DELAY = 1.0, 300.0
"""Seconds before the second try, twice as many before each further one, and the most; unless the platform says when."""
END_STATES: dict[str | None, State] = {"parked": "parked", "rejected": "refused"}
"""How a message ends that was answered so; every other one is delivered."""


class Handle(Protocol):
    """Takes a message through the line; the gateway's `handle` does."""

    async def __call__(self, inbound: Inbound, deliver: Deliver, relay: Relay, ledger: RowLedger) -> Receipt:
        """Take one message. Raises RouteRejectedError, DrainingError, DeliveryError."""


class Facts(Protocol):
    """What the runner asks of the gateway about a message of an earlier life."""

    def reruns(self, agent: str) -> bool:
        """Say whether a turn of an agent runs again although it had called a tool."""

    async def answered_before(self, inbound: Inbound, agent: str) -> Outbound | None:
        """Return the answer that a turn's session has of it, None when it has none."""


FilesOf = Callable[[Outbound], Awaitable[tuple[Outbound, Sequence[OutboundFile]]]]
"""Returns an answer as it goes to its chat, and reads the files that go out with it."""
Kinds = Mapping[str, Callable[[Row], AbstractAsyncContextManager[Answering]]]
"""Opens the answers to messages of some kinds of their own, which go elsewhere than to the chat that they came from."""
NO_KINDS: Kinds = MappingProxyType({})


class Runner:
    """Runs the messages of one inbox, as many at a time as there are chats; the line has places for as many as it wants."""

    def __init__(
        self, inbox: Inbox, handle: Handle, facts: Facts, *, chats: Chats, files_of: FilesOf, kinds: Kinds = NO_KINDS
    ) -> None:
        self._kinds = kinds
        self._inbox = inbox
        self._handle = handle
        self._facts = facts
        self._chats = chats
        self._files_of = files_of
        self._owned: dict[str, trio.CancelScope] = {}
        self._deliveries: set[str] = set()
        self._idle = trio.Event()
        self._log = structlog.get_logger()

    @property
    def busy(self) -> int:
        """How many messages it has taken up and not ended."""
        return len(self._owned)

    async def serve(self) -> None:
        """Take message after message until the inbox closes; those that were taken up go on. Cancelling leaves all as is."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._inbox.sweep)
            while True:
                row = await self._inbox.own()
                nursery.start_soon(self._take, row)

    def cancel(self, turn_id: str) -> bool:
        """Give up a message that was taken up; returns whether it was. Its turn's processes end first.

        One that is answered stays so.
        """
        scope = self._owned.get(turn_id)
        if scope is not None and turn_id not in self._deliveries:
            scope.cancel()
        return scope is not None

    def give_up(self, kept: Collection[str]) -> None:
        """Let go of every message whose turn is none of `kept`, as it is: the gateway is about to stop."""
        for turn_id, scope in self._owned.items():
            if turn_id not in kept and turn_id not in self._deliveries:
                scope.cancel()

    async def wait_idle(self) -> None:
        """Wait until no message is taken up."""
        while self._owned:
            self._idle = trio.Event()
            await self._idle.wait()

    async def cancel_waiting(self, turn_id: str) -> None:
        """Give up a message that waits for others of its chat."""
        number = self._inbox.cancel(turn_id)
        if number is not None:
            row = await self._inbox.commit(partial(rows.row_of, row_id=number))
            await self._settle(row, RowLedger(self._inbox, row))

    async def _take(self, row: Row) -> None:
        """Bring one message as far as it gets; whatever happens to it, the others go on."""
        ledger = RowLedger(self._inbox, row)
        self._owned[row.turn_id] = scope = trio.CancelScope()
        try:
            with scope:
                await self._process(row, ledger)
            if scope.cancelled_caught and not self._inbox.closing.is_set():
                await self._settle(row, ledger)
        except Exception:  # noqa: BLE001  # the row says how far it came; the next life goes on from there
            self._log.exception("inbox_message_failed", turn_id=row.turn_id, agent=row.agent)
        finally:
            del self._owned[row.turn_id]
            self._inbox.end(row)
            self._idle.set()

    async def _settle(self, row: Row, ledger: RowLedger) -> None:
        """End a message that was given up."""
        outbound = cancelled(row)
        await ledger.answered(outbound)
        await ledger.done("delivered")
        if (live := self._inbox.events(row.turn_id)) is not None:
            live.end(outbound)

    async def _process(self, row: Row, ledger: RowLedger) -> None:
        """Do what is left to do for a message."""
        try:
            async with self._opened(row, ledger) as answering:
                delivery = _Delivery(self._inbox, ledger, answering, files_of=self._files_of, under_way=self._deliveries)
                outbound = row.outbound or await self._known_answer(row)
                if outbound is not None:
                    await delivery.deliver(outbound)
                else:
                    await self._run(row, ledger, answering, delivery)
        except DrainingError:
            return  # it is for the next life
        except DeliveryError as error:
            self._log.error("answer_not_delivered", turn_id=row.turn_id, agent=row.agent, reason=str(error))
            await ledger.done("parked")

    async def _known_answer(self, row: Row) -> Outbound | None:
        """Return the answer to a message that an earlier life has settled, None when a turn is to be run."""
        if row.state != "running":
            return None
        if found := await self._facts.answered_before(row.inbound, row.agent):
            return found
        if row.tools and row.about.kind and not self._facts.reruns(row.agent):
            return _said(row, "restarted", _interrupted(row, ""))
        if row.tries >= self._inbox.tries and not row.tools:
            text = f"This message was tried {row.tries} times and the gateway ended each time, so it is put aside."
            return _said(row, "parked", text)
        return None

    async def _run(self, row: Row, ledger: RowLedger, answering: Answering, delivery: _Delivery) -> None:
        """Take a message through the line."""
        if row.tools and not self._facts.reruns(row.agent):
            ledger.instead = _interrupted(row, " /retry asks it again.")
        try:
            await self._handle(row.inbound, delivery.deliver, answering.show, ledger)
        except RouteRejectedError as error:
            await delivery.deliver(_said(row, "rejected", f"Nobody here takes this message: {error}."))

    @asynccontextmanager
    async def _opened(self, row: Row, ledger: RowLedger) -> AsyncIterator[Answering]:
        """Open the answer to a message, where it goes. Raises DeliveryError, DrainingError."""
        tries = 0
        while True:
            opening = self._answering(row, ledger)
            try:
                answering = await opening.__aenter__()
                break
            except DeliveryError as error:
                tries += 1
                await wait_to_try_again(error, tries, self._inbox.closing)
        try:
            yield answering
        except BaseException as error:
            if not await opening.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            await opening.__aexit__(None, None, None)

    def _answering(self, row: Row, ledger: RowLedger) -> AbstractAsyncContextManager[Answering]:
        """Return the answer to a message: on its chat, or kept for whoever asks over HTTP."""
        if row.about.kind in self._kinds:
            return self._kinds[row.about.kind](row)
        if row.about.asked_for:
            return _shelved(self._inbox, row.turn_id)
        if row.about.kind == "outgoing" and row.outbound is not None:
            return self._chats.answering(row.outbound.chat, reply_to=None, notes=ledger)
        return self._chats.answering(row.inbound.chat, reply_to=row.inbound.platform_id or None, notes=ledger)


class _Delivery:
    """Brings one message's answer to its chat."""

    def __init__(
        self, inbox: Inbox, ledger: RowLedger, answering: Answering, *, files_of: FilesOf, under_way: set[str]
    ) -> None:
        self._inbox = inbox
        self._ledger = ledger
        self._answering = answering
        self._files_of = files_of
        self._under_way = under_way

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Keep the answer, then deliver it, trying again where that can help. Raises DeliveryError, DrainingError.

        That the gateway stops is no answer: the message is for the next life.
        """
        if outbound.error == "draining":
            raise DrainingError(outbound.text)
        await self._ledger.answered(outbound)
        self._under_way.add(outbound.turn_id)
        try:
            platform_id = await self._finish(outbound)
            await self._ledger.done(END_STATES.get(outbound.error, "delivered"), platform_id)
        finally:
            self._under_way.discard(outbound.turn_id)
        return Receipt(outbound, platform_id)

    async def _finish(self, outbound: Outbound) -> str:
        """Hand the answer to its adapter."""
        shown, files = (outbound, ()) if self._ledger.row.about.kind else await self._files_of(outbound)
        tries = 0
        while True:
            try:
                return await self._answering.finish(shown, files)
            except DeliveryError as error:
                tries += 1
                await wait_to_try_again(error, tries, self._inbox.closing)


@asynccontextmanager
async def _shelved(inbox: Inbox, turn_id: str) -> AsyncIterator[Answering]:
    """Open the shelf of one message."""
    yield _Shelf(inbox, turn_id)


class _Shelf:
    """The answer to a message of the HTTP API: it is on disk already, and here for those who wait for it."""

    def __init__(self, inbox: Inbox, turn_id: str) -> None:
        self._live = inbox.events(turn_id)
        self._turn_id = turn_id
        if self._live is not None:
            self._live.again()

    async def show(self, progress: Progress) -> None:
        """Show it to those who look."""
        if self._live is not None:
            await self._live.show(progress)

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:  # noqa: ARG002  # files stay here
        """Tell those who wait."""
        if self._live is not None:
            self._live.end(outbound)
        return self._turn_id


async def wait_to_try_again(error: DeliveryError, tries: int, closing: trio.Event) -> None:
    """Wait before the next try of a delivery. Raises the error when there is none, DrainingError when the gateway stops."""
    if not error.again or tries >= DELIVERY_TRIES:
        raise error
    delay = error.after if error.after is not None else min(FIRST_DELAY * 2 ** (tries - 1), MOST_DELAY)
    with trio.move_on_after(delay):
        await closing.wait()
        raise DrainingError("The gateway stops; the answer is delivered when it is back.")


def cancelled(row: Row) -> Outbound:
    """Return what is answered to a message that was given up."""
    return _said(row, "interrupted", "It was stopped before it was done.")


def _interrupted(row: Row, what_to_do: str) -> str:
    """Say that a turn is not run again, and why."""
    return (
        "The gateway was stopped while this was being worked on, and it is not done again by itself, because something may have"
        f" been done already: it had run {', '.join(row.tools)}.{what_to_do}"
    )


def _said(row: Row, error: str, text: str) -> Outbound:
    """Return what the gateway itself answers to a message."""
    return Outbound(row.inbound.chat, text, row.turn_id, row.agent, row.inbound.session_id or "", error=error)
