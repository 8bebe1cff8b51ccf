"""Asks the providers of a question, one try after the other, until one answers well or none is left to ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.events import as_object, read_object
from hermes_iso.broker.faults import AnswerFaultError, Provider, TransientError
from hermes_iso.broker.model_host.asking import Question
from hermes_iso.broker.model_host.endpoints import Endpoint
from hermes_iso.broker.upstream import Body, Sender, check_encoding, read_error
from hermes_iso.errors import ModelError

__all__ = ["Answering", "Errand", "RefusalError", "Sender"]

_PARTS = ("type", "code", "param")


@dataclass(frozen=True, slots=True)
class Answering:
    """A good answer that is about to come: its head, its body, and who gives it. The body is to be closed."""

    settings: ModelSettings
    status: int
    headers: Mapping[str, str]
    body: Body


class RefusalError(ModelError):
    """A provider's answer whose status is not good.

    status: the provider's own, or 0 when it can't be passed on. parts: type, code and param of its error, cleaned.
    headers: those of its answer.
    """

    def __init__(self, error: ModelError, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(error.kind, str(error), error.retry_after)
        self.status = status
        self.headers = headers
        self.parts: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Errand:
    """One question on its way. headers: those that came with it. deadline: by trio's clock."""

    sender: Sender
    endpoint: Endpoint
    question: Question
    headers: Mapping[str, str] = field(repr=False)
    deadline: float

    async def run(self, candidates: Sequence[ModelSettings]) -> Answering:
        """Return the first good answer of candidates that have this endpoint. Raises ModelError with what the first said."""
        able = filter(self.endpoint.serves, candidates)
        return await self.sender.patience.first_answer(able, self._ask, deadline=self.deadline)

    async def _ask(self, settings: ModelSettings) -> Answering:
        """Ask once. Raises ModelError, TransientError."""
        who = Provider.of(settings)
        url, headers = self.endpoint.url(settings), self.endpoint.headers(settings, self.headers)
        response = await self.sender.send(url, headers, self.question.content(settings), who=who)
        body = Body(response, who, self.sender.patience.limits.answer_bytes)
        try:
            if not response.is_success:
                raise _refusal(who, response.status, response.headers, await read_error(body))
            check_encoding(response.headers, who)
        except BaseException:
            body.close()
            raise
        return Answering(settings, response.status, response.headers, body)


def _refusal(who: Provider, status: int, headers: Mapping[str, str], words: bytes) -> RefusalError | TransientError:
    """Return the error of an answer whose status is not good. A redirect has no status of its own: it is never followed."""
    found = who.status_error(status, headers, words)
    error = found.error if isinstance(found, TransientError) else found
    refusal = RefusalError(error, status if status >= 400 else 0, headers)
    with suppress(AnswerFaultError):
        said = as_object(read_object(words).get("error"))
        refusal.parts = {name: who.clean(said[name]) for name in _PARTS if isinstance(said.get(name), str)}
    return TransientError(refusal) if error is not found else refusal
