"""AskBroker: the broker method `ask` of one turn: what its guest may ask a person, and what it is told of the answer."""

from __future__ import annotations

from typing import Any, Protocol

from hermes_iso import questions
from hermes_iso.errors import TurnError
from hermes_iso.history import clean_text
from hermes_iso.questions import Answer, Question
from hermes_iso.work import Work

JsonObject = dict[str, Any]

PER_TURN = 32
"""Questions that a turn may put to a person."""


class Kept(Protocol):
    """Knows what was approved for longer than once; `approvals.KeptApprovals` is one."""

    async def cover(self, agent: str, session: int | None, patterns: tuple[str, ...]) -> bool:
        """Say whether all of these kinds are approved."""


class People(Protocol):
    """Puts questions to people; `asks.Asks` is one."""

    @property
    def kept(self) -> Kept:
        """What was approved for longer than once."""

    async def put(self, work: Work, question: Question) -> Answer:
        """Return what came of a question. Raises TurnError(busy)."""


class AskBroker:
    """Puts one turn's questions. Who nobody answered once is not asked again in this turn: whoever it was is not there."""

    def __init__(self, people: People, work: Work) -> None:
        self._people = people
        self._work = work
        self._asked = 0
        self._unanswered: Answer | None = None

    async def answer(self, params: JsonObject) -> JsonObject:
        """Ask what a guest's parameters say. Raises TurnError (bad_params, not_granted, too_many, busy), to tell the guest."""
        kind = params.get("kind")
        if kind == "clarify":
            return await self._clarify(params)
        if kind == "approval":
            return await self._approve(params)
        raise TurnError("bad_params", "The kind of an ask must be clarify or approval.")

    async def _clarify(self, params: JsonObject) -> JsonObject:
        """Ask a question and return the answer."""
        if not any(tool.name == "clarify" for tool in self._work.tools):
            raise TurnError("not_granted", "Asking is the tool clarify's, which this turn is not granted.")
        question = questions.clarify(_text(params, "question"), _texts(params, "choices"))
        answer = await self._put(question)
        return {"given": True, "answer": answer.text} if answer.given else {"given": False, "reason": answer.text}

    async def _approve(self, params: JsonObject) -> JsonObject:
        """Ask whether a command may be run, unless it was approved for longer, and return the decision."""
        work = self._work
        patterns = _texts(params, "patterns")
        command, about = _text(params, "command"), _text(params, "description", default="")
        permanent = params.get("permanent", True) is True
        question = questions.approval(work.agent.id, command, about=about, patterns=patterns, permanent=permanent)
        if await self._people.kept.cover(work.agent.id, work.turn.row, patterns):
            await work.log.add("approved_before", kinds=len(patterns))
            return {"given": True, "decision": "once", "reason": ""}
        answer = await self._put(question)
        if not answer.given:
            return {"given": False, "reason": answer.text}
        return {"given": True, "decision": answer.decision, "reason": answer.text}

    async def _put(self, question: Question) -> Answer:
        """Put a question, unless nobody answered the one before."""
        if self._unanswered is not None:
            return self._unanswered
        if self._asked >= PER_TURN:
            raise TurnError("too_many", f"A turn may ask {PER_TURN} questions, and this one has: go on without asking.")
        self._asked += 1
        log = self._work.log
        await log.add("asked", question=question.kind, characters=len(question.text))
        answer = await self._people.put(self._work, question)
        await log.add("ask_ended", question=question.kind, given=answer.given, decision=answer.decision)
        if not answer.given:
            self._unanswered = answer
        return answer


def _text(params: JsonObject, name: str, *, default: str | None = None) -> str:
    """Return a text of a guest's parameters."""
    value = params.get(name, default)
    if not isinstance(value, str):
        raise TurnError("bad_params", f"An ask needs {name} as text.")
    return clean_text(value)


def _texts(params: JsonObject, name: str) -> tuple[str, ...]:
    """Return a list of texts of a guest's parameters; one that is missing is empty."""
    value = params.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TurnError("bad_params", f"The {name} of an ask must be a list of texts.")
    return tuple(map(clean_text, value))
