"""Sessions: one turn at a time in each chat, in the order they came, and the history that the next turn sees.

A chat's identity is the tuple of its parts (`Route.session` and the caller's own id), never its text key, because two chats
can share a text. A chat is in one session at a time and keeps earlier ones; see `session_rows`. History lies in one database
per agent that no sandbox ever sees. A turn that fails leaves no trace in it but its cost: the user's message and the agent's
answer are stored together, in one transaction, or not at all. What a session keeps is bounded, and a turn reads no more of it
than it uses.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import astuple, dataclass, replace
from typing import TypeVar

import apsw
import trio

from hermes_iso.errors import TurnError
from hermes_iso.history import SUMMARY_TITLE, Message, clean_text, from_user, latest
from hermes_iso.messages import Inbound, Usage
from hermes_iso.routing import Route
from hermes_iso.session_rows import (
    ChatKey,
    SessionRow,
    add_messages,
    begin_session,
    charge_session,
    current_session,
    delete_messages,
    last_exchange,
    next_number,
    read_history,
)
from hermes_iso.session_settings import NO_SETTINGS, SessionSettings
from hermes_iso.store import Database

WAITERS = 32
"""Turns that may wait in one chat; a further one is refused."""
BESIDE = 4
"""Turns beside the session of a chat, and of the chats of the same person in the same place, at a time."""
BUSY_RETRY = 5.0
"""Seconds after which a refused caller may try again."""
SEARCH_TIMEOUT = 2.0
"""Seconds that a search may wait for others and take: while one runs, the agent's sessions can't be read or written."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Turn:
    """One inbound on its way to one outbound.

    processes: names what its background processes belong to. history: earlier messages, oldest first, cut to what fits.
    chat: the identity of its chat. row: its session in the database, None where the caller keeps the history itself.
    settings: what the session has of its own; denied_tools: taken away from this turn, whatever grants them.
    title: its session's. replaces: the number from which on the session's messages give way to this turn's.
    """

    turn_id: str
    route: Route
    inbound: Inbound
    session_id: str
    processes: str
    history: tuple[Message, ...] = ()
    chat: str = ""
    row: int | None = None
    settings: SessionSettings = NO_SETTINGS
    denied_tools: frozenset[str] = frozenset()
    replaces: int | None = None
    title: str = ""

    @property
    def summed_up(self) -> bool:
        """Whether the history begins with the summary of what /compress replaced."""
        return len(self.history) > 1 and self.history[0].get("content") == SUMMARY_TITLE


class Sessions:
    """All sessions of the served agents. `databases` holds each agent's sessions.db by its id."""

    def __init__(self, databases: Mapping[str, Database]) -> None:
        self._databases = databases
        self._queues: dict[str, trio.Lock] = {}
        self._beside: Counter[str] = Counter()
        self._searching: dict[str, trio.Lock] = {}

    @property
    def waiting(self) -> int:
        """How many turns wait for their session's one place."""
        return sum(queue.statistics().tasks_waiting for queue in self._queues.values())

    @asynccontextmanager
    async def open(
        self,
        turn_id: str,
        inbound: Inbound,
        route: Route,
        *,
        replaces: str = "",
        settings: SessionSettings = NO_SETTINGS,
        beside: bool = False,
    ) -> AsyncIterator[Turn]:
        """Hold the chat's one place and give the turn to take; others of that chat wait outside, first come first.

        replaces: the session's last turn, when this one is to take its place once it succeeds. settings: those of a turn whose
        caller keeps the history, or of a session that begins with it. beside: it takes one
        of the few places for turns beside a chat's session, and does not wait.
        Raises TurnError: busy when too many wait, internal when the history can't be read. Cancelling leaves the queue.
        """
        key = chat_key(inbound, route)
        async with self._place_beside(key) if beside else self._place(key, waits=len(inbound.via) < 2):
            yield await self._turn(turn_id, inbound, route, key, replaces=replaces, settings=settings)

    async def older(self, turn_id: str, inbound: Inbound, route: Route, kept: int) -> Turn | None:
        """Return a turn that sees the chat's session without its last `kept` exchanges; None when there is nothing else in it.

        The caller is `alone` in the chat. Raises TurnError(internal).
        """
        key = chat_key(inbound, route)

        def select(connection: apsw.Connection) -> tuple[SessionRow, list[str]] | None:
            row = current_session(connection, key)
            tail = last_exchange(connection, row.id, kept) if row and kept else None
            texts = read_history(connection, row.id, tail[0] if tail else None) if row else []
            return (row, texts) if row and texts else None

        found = await self.run(route.agent, select)
        if found is None:
            return None
        row, texts = found
        turn = Turn(turn_id, route, inbound, row.session_id, key.identity, chat=key.identity, row=row.id)
        return _with(turn, row, texts)

    async def kept_answer(self, inbound: Inbound, route: Route) -> tuple[str, str] | None:
        """Return the answer and the session's id where the chat's last exchange is this very message's, else None.

        Raises TurnError(internal).
        """

        def select(connection: apsw.Connection) -> tuple[str, str] | None:
            row = current_session(connection, chat_key(inbound, route))
            last = last_exchange(connection, row.id) if row else None
            if row is None or last is None or last[1] != inbound.turn_id:
                return None
            end = json.loads(read_history(connection, row.id)[-1])
            return (str(end.get("content") or ""), row.session_id) if end["role"] == "assistant" else None

        return await self.run(route.agent, select)

    @contextmanager
    def alone(self, key: ChatKey) -> Iterator[None]:
        """Hold the chat's one place if nobody else does. Raises TurnError(busy)."""
        queue = self._queues.setdefault(key.identity, trio.Lock())
        try:
            queue.acquire_nowait()
        except trio.WouldBlock:
            text = "A turn runs in this session: wait for its answer, or stop it with /stop."
            raise TurnError("busy", text, BUSY_RETRY) from None
        try:
            yield
        finally:
            queue.release()
            self._forget_queue(key, queue)

    def waiting_in(self, key: ChatKey) -> int:
        """Return how many turns wait in a chat behind the one that runs."""
        queue = self._queues.get(key.identity)
        return queue.statistics().tasks_waiting if queue else 0

    async def keep(self, turn: Turn, messages: Sequence[Message], usage: Usage = Usage()) -> None:  # noqa: B008  frozen
        """Add the user's message and the checked messages of the answer to the history, unless the caller keeps it itself.

        Raises TurnError(internal) when the database can't take it.
        """
        row = turn.row
        if row is None:
            return
        texts = [stored_text(each) for each in ({"role": "user", "content": turn.inbound.text}, *messages)]

        def insert(connection: apsw.Connection) -> None:
            if not charge_session(connection, row, turn.session_id, usage, turns=1):
                return
            if turn.replaces is not None:
                delete_messages(connection, row, turn.replaces)
            add_messages(connection, row, next_number(connection, row), turn.turn_id, texts)

        await self.run(turn.route.agent, insert)

    async def charge(self, turn: Turn, usage: Usage) -> None:
        """Note what a turn cost that failed. Raises TurnError(internal)."""
        row = turn.row
        if row is not None and usage.calls:
            await self.run(
                turn.route.agent, lambda connection: charge_session(connection, row, turn.session_id, usage, turns=0)
            )

    async def run(self, agent: str, transaction: Callable[[apsw.Connection], Result]) -> Result:
        """Run a transaction on an agent's sessions. Raises TurnError(internal) when the database fails."""
        try:
            return await self._databases[agent].run(transaction)
        except apsw.Error as error:
            raise TurnError("internal", f"The agent's sessions could not be read or written ({error}).") from error

    async def search(
        self, agent: str, transaction: Callable[[apsw.Connection], Result], timeout: float = SEARCH_TIMEOUT
    ) -> Result:
        """Run a transaction that looks for words in an agent's sessions: one at a time, and not for long.

        How long it takes is up to who asks, and who asks may have written what is searched.
        Raises TurnError: busy when it is not done within `timeout` seconds, internal when the database fails.
        """
        with trio.move_on_after(timeout):
            async with self._searching.setdefault(agent, trio.Lock()):
                return await self.run(agent, transaction)
        raise TurnError("busy", f"The search was not done within {timeout:g} s: look for fewer or longer words.")

    @asynccontextmanager
    async def _place(self, key: ChatKey, *, waits: bool = True) -> AsyncIterator[None]:
        """Hold the one place of a chat; trio's lock is fair, so those who wait get it in order.

        waits: false for a message of an agent that works on another one's message. That one holds a place already, and if such
        waited, two chains of messages could each hold what the other one waits for.
        """
        queue = self._queues.setdefault(key.identity, trio.Lock())
        if not waits and queue.locked():
            text = "These two agents are busy with another message, and one that came through others does not wait: try later."
            raise TurnError("busy", text, BUSY_RETRY)
        if queue.statistics().tasks_waiting >= WAITERS:
            text = f"{WAITERS} messages of this chat are waiting already: wait for their answers."
            raise TurnError("busy", text, BUSY_RETRY)
        try:
            async with queue:
                yield
        finally:
            self._forget_queue(key, queue)

    @asynccontextmanager
    async def _place_beside(self, key: ChatKey) -> AsyncIterator[None]:
        """Hold one of the places beside a chat's session."""
        if self._beside[key.scope] >= BESIDE:
            raise TurnError("busy", f"{BESIDE} background turns of this chat run already: wait for one, or use /stop all.")
        self._beside[key.scope] += 1
        try:
            yield
        finally:
            self._beside[key.scope] -= 1
            if not self._beside[key.scope]:
                del self._beside[key.scope]

    def _forget_queue(self, key: ChatKey, queue: trio.Lock) -> None:
        """Forget a queue that nobody is in."""
        statistics = queue.statistics()
        if not statistics.locked and not statistics.tasks_waiting and self._queues.get(key.identity) is queue:
            del self._queues[key.identity]

    async def _turn(
        self, turn_id: str, inbound: Inbound, route: Route, key: ChatKey, *, replaces: str, settings: SessionSettings
    ) -> Turn:
        """Make the turn, with its session's stored id and history, or with what the caller gave."""
        identity = json.loads(key.identity)
        belongs = [*identity[:2], "key", inbound.process_key] if inbound.process_key else identity
        if inbound.history is not None:
            session_id, history = inbound.session_id or new_session_id(), latest(inbound.history)
            turn = Turn(turn_id, route, inbound, session_id, json.dumps(belongs), tuple(history), key.identity)
            return replace(turn, settings=settings, denied_tools=settings.denied_tools)

        def select(connection: apsw.Connection) -> tuple[SessionRow, list[str], int | None]:
            row = current_session(connection, key)
            if row is None:
                named = inbound.session_id or new_session_id()
                return begin_session(connection, key, named, settings=settings.as_text()), [], None
            last = last_exchange(connection, row.id) if replaces else None
            first = last[0] if last is not None and last[1] == replaces else None
            return row, read_history(connection, row.id, first), first

        row, texts, first = await self.run(route.agent, select)
        turn = Turn(turn_id, route, inbound, row.session_id, json.dumps(belongs), chat=key.identity, row=row.id, replaces=first)
        return _with(turn, row, texts)


def _with(turn: Turn, row: SessionRow, texts: Sequence[str]) -> Turn:
    """Return a turn with what its session has stored."""
    settings = SessionSettings.from_text(row.settings)
    history = tuple(from_user([json.loads(text) for text in texts]))
    return replace(turn, history=history, settings=settings, denied_tools=settings.denied_tools, title=row.title)


def chat_key(inbound: Inbound, route: Route) -> ChatKey:
    """Return which chat a message belongs to, and whose it is.

    The chats of one person in one place differ in the caller's own id alone. In a direct chat the session does not name the
    person, so the scope does: a client that speaks for several people must not show one the sessions of another.
    """
    session = astuple(route.session)
    direct = inbound.chat.chat_type == "dm"
    sender = (inbound.user_id_alt or inbound.user_id or "") if direct else ""
    identity, scope = (*session, inbound.session_id or ""), (*session, sender)
    return ChatKey(_text(identity), _text(scope), route.session.namespace)


def _text(parts: tuple[str, ...]) -> str:
    """Return a tuple as text: two texts are equal only when the tuples are. Half a surrogate, which UTF-8 lacks, is escaped."""
    text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return text if clean_text(text) == text else json.dumps(parts, separators=(",", ":"))


def stored_text(message: Message) -> str:
    """Return a message as it is stored."""
    return clean_text(json.dumps(message, ensure_ascii=False, separators=(",", ":")))


def new_session_id() -> str:
    """Return a fresh session id in Hermes' form: when it began, in UTC, and eight hexadecimal digits."""
    return f"{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}_{secrets.token_hex(4)}"
