"""Asks: the questions that running turns have put to people, one at a time in each chat, until somebody answers or nobody did.

A question belongs to its turn and ends with it. It is answered where it was asked: by whoever the turn works for, or by an
admin of the agent; who asks, and whose turn it is, is the gateway's word and never the guest's. While a turn waits, none of
its time counts and its place among its agent's turns is free for others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import trio

from hermes_iso.approvals import KeptApprovals
from hermes_iso.errors import DeliveryError, TurnError
from hermes_iso.messages import ChatRef, Inbound, Progress
from hermes_iso.questions import Answer, Question, read_decision
from hermes_iso.sessions import Sessions
from hermes_iso.work import Work

PER_CHAT = 8
"""Questions that may wait in a chat at a time."""
PER_AGENT = 16
"""Questions of an agent that may wait at a time: each keeps a turn process."""
Place: TypeAlias = tuple[str, str, ChatRef, str]
"""A chat as one agent has it: the agent, the API key, the chat, and the session that a caller over HTTP names."""

NOBODY_HERE = {
    "clarify": "Nobody can be asked here. Put the question into your answer: it can be answered by the next message.",
    "approval": "Nobody can be asked here, so it is not approved: that takes a chat, or over HTTP a stream in a named session.",
}
NOBODY_ANSWERED = "Nobody answered within {seconds:g} s."
NOT_SHOWN = "The question could not be brought to the chat."
STOPPING = "The gateway is about to stop, so nobody is asked any more."


def place_of(agent: str, inbound: Inbound) -> Place:
    """Return the chat that a message is in, as one agent has it. Of a chat platform, one chat is one place."""
    named = inbound.session_id if inbound.namespace else None
    return (agent, inbound.namespace, inbound.chat, named or "")


@dataclass(eq=False, slots=True)
class Pending:
    """A question that waits. shown: whether it stands in the chat already; only then it can be answered."""

    work: Work
    question: Question
    place: Place
    shown: bool = False
    answer: Answer | None = None
    first: trio.Event = field(default_factory=trio.Event)
    settled: trio.Event = field(default_factory=trio.Event)


class Asks:
    """The questions that wait, of all turns of a gateway. kept: what was approved for longer than once."""

    def __init__(self, sessions: Sessions) -> None:
        self.kept = KeptApprovals(sessions)
        self._waiting: dict[Place, list[Pending]] = {}
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many questions wait."""
        return sum(map(len, self._waiting.values()))

    async def put(self, work: Work, question: Question) -> Answer:
        """Put a question to whoever the turn works for and return what came of it. Cancelling withdraws it.

        Raises TurnError(busy) when too many wait.
        """
        inbound = work.turn.inbound
        if self._closed or not inbound.answerable:
            return Answer(given=False, text=STOPPING if self._closed else NOBODY_HERE[question.kind])
        pending = Pending(work, question, place_of(work.agent.id, inbound))
        queue = self._enter(pending)
        try:
            async with work.waiting_for_person():
                await pending.first.wait()
                with trio.move_on_after(work.agent.ask_timeout):
                    if not pending.settled.is_set():
                        await work.relay(Progress("question", question.text, question.kind))
                        pending.shown = True
                    await pending.settled.wait()
        except DeliveryError:
            return Answer(given=False, text=NOT_SHOWN)
        finally:
            self._leave(pending, queue)
        return pending.answer or Answer(given=False, text=NOBODY_ANSWERED.format(seconds=work.agent.ask_timeout))

    def shown_in(self, place: Place) -> Pending | None:
        """Return the question that stands in a chat and waits for its answer."""
        first = self._waiting.get(place, [None])[0]
        return first if first is not None and first.shown and not first.settled.is_set() else None

    def waits_for(self, inbound: Inbound) -> bool:
        """Say whether a plain message may be the answer that a turn waits for in its chat, whoever's turn that is.

        Such a message must not wait behind that turn. `commands.answers` decides whether it is the answer.
        """
        here = place_of("", inbound)[1:]
        shown = [each for place in self._waiting if place[1:] == here and (each := self.shown_in(place)) is not None]
        return any(each.question.kind == "clarify" or read_decision(inbound.text) is not None for each in shown)

    def settle(self, pending: Pending, answer: Answer) -> bool:
        """Answer a question; says whether it was still waiting."""
        if pending.settled.is_set() or pending not in self._waiting.get(pending.place, ()):
            return False
        pending.answer = answer
        pending.settled.set()
        return True

    def close(self) -> None:
        """Answer every question with nothing, and take no more: the gateway is about to stop."""
        self._closed = True
        for pending in [each for queue in self._waiting.values() for each in queue]:
            self.settle(pending, Answer(given=False, text=STOPPING))
            pending.first.set()

    def _enter(self, pending: Pending) -> list[Pending]:
        """Put a question behind those that wait in its chat. Raises TurnError(busy)."""
        queue = self._waiting.setdefault(pending.place, [])
        of_agent = sum(len(each) for place, each in self._waiting.items() if place[0] == pending.place[0])
        if len(queue) >= PER_CHAT or of_agent >= PER_AGENT:
            raise TurnError("busy", f"{of_agent} questions of this agent wait for an answer already: go on without asking.")
        queue.append(pending)
        if len(queue) == 1:
            pending.first.set()
        return queue

    def _leave(self, pending: Pending, queue: list[Pending]) -> None:
        """Take a question out, and let the next one be shown."""
        queue.remove(pending)
        if queue:
            queue[0].first.set()
        else:
            del self._waiting[pending.place]
