"""Desk: what a command works with: the chat's sessions, the turns that run in it, and where it and its turn tell things."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from hermes_iso.adapter import Relay
from hermes_iso.admission import Admission
from hermes_iso.asks import Asks
from hermes_iso.hooks.hooks import Hooks
from hermes_iso.journal import TurnLog
from hermes_iso.messages import Inbound
from hermes_iso.routing import Route
from hermes_iso.session_book import SessionBook
from hermes_iso.sessions import Sessions, Turn, chat_key
from hermes_iso.turns import TurnRunner


@dataclass(frozen=True, slots=True)
class Desk:
    """The desk of one message. `turn_id` is that of the turn that the message would be."""

    turn_id: str
    route: Route
    book: SessionBook
    sessions: Sessions
    runner: TurnRunner
    hooks: Hooks
    relay: Relay
    log: TurnLog
    people: Admission
    asks: Asks

    @staticmethod
    def of(
        inbound: Inbound,
        route: Route,
        sessions: Sessions,
        runner: TurnRunner,
        *,
        hooks: Hooks,
        relay: Relay,
        log: TurnLog,
        people: Admission,
        asks: Asks,
    ) -> Desk:
        """Return the desk for a message."""
        book = SessionBook(sessions, route.agent, chat_key(inbound, route), inbound.session_id)
        return Desk(log.turn_id, route, book, sessions, runner, hooks, relay, log, people, asks)

    def alone(self) -> AbstractContextManager[None]:
        """Hold the chat's one place, so that no turn changes its session meanwhile. Raises TurnError(busy)."""
        return self.sessions.alone(self.book.key)

    def waiting(self) -> int:
        """Return how many turns of the chat wait for the one that runs."""
        return self.sessions.waiting_in(self.book.key)

    def around(self) -> list[Turn]:
        """Return the turns that run in the chat, those beside its session too, but no subagents."""
        key, turns = (
            self.book.key,
            [work.turn for work in self.runner.works() if work.agent.id == self.route.agent and not work.depth],
        )
        return [turn for turn in turns if turn.chat == key.identity or chat_key(turn.inbound, turn.route).scope == key.scope]

    def delegates(self, turn: Turn) -> bool:
        """Say whether subagents work for a turn."""
        return any(work.depth and work.turn.chat == turn.chat for work in self.runner.works())

    def running(self) -> list[Turn]:
        """Return the turn of the chat's session that runs, if one does."""
        return [turn for turn in self.around() if turn.chat == self.book.key.identity]
