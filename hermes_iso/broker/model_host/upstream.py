"""Asks the providers of a question, one try after the other, until one answers well or none is left to ask."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import trio

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.calls import ModelLimits
from hermes_iso.broker.events import as_object, read_object
from hermes_iso.broker.faults import AnswerFaultError, Provider, TransientError
from hermes_iso.broker.model_host.asking import Question
from hermes_iso.broker.model_host.endpoints import Endpoint
from hermes_iso.broker.upstream import Body, check_encoding, read_error
from hermes_iso.errors import ModelError

_PARTS = ("type", "code", "param")


class Sender(Protocol):
    """Sends requests to providers; `hermes_iso.broker.models.ModelBroker` is one."""

    @property
    def tls(self) -> ssl.SSLContext:
        """By what hosts are trusted."""

    @property
    def limits(self) -> ModelLimits:
        """The bounds of one exchange."""

    def wait_before(self, number: int, error: ModelError) -> float | None:
        """Return the seconds to wait after try `number`, or None when there is to be no other."""

    async def send(self, url: str, headers: Mapping[str, str], content: bytes, *, who: Provider) -> httpx.Response:
        """Post a request and return the answer once its head is there. Raises TransientError, ModelError."""


@dataclass(frozen=True, slots=True)
class Answering:
    """A good answer that is about to come: its head, its body, and who gives it. The body is to be closed."""

    settings: ModelSettings
    status: int
    headers: httpx.Headers
    body: Body


class FailedError(Exception):
    """A try, or all of them, brought no good answer.

    error: what the provider says, as a sentence without its key. transient: another try may help.
    status: the provider's own, or 0 when it has none. parts: type, code and param of its error, cleaned.
    headers: those of its answer.
    """

    def __init__(self, error: ModelError | TransientError, status: int = 0) -> None:
        super().__init__(str(error))
        self.transient = isinstance(error, TransientError)
        self.error = error.error if isinstance(error, TransientError) else error
        self.status = status
        self.parts: dict[str, str] = {}
        self.headers: httpx.Headers = httpx.Headers()


@dataclass(frozen=True, slots=True)
class Errand:
    """One question on its way. headers: those that came with it. deadline: by trio's clock."""

    sender: Sender
    endpoint: Endpoint
    question: Question
    headers: Mapping[str, str] = field(repr=False)
    deadline: float

    async def run(self, candidates: Sequence[ModelSettings]) -> Answering:
        """Return the first good answer of candidates that have this endpoint. Raises FailedError with what the first said."""
        first: FailedError | None = None
        for settings in filter(self.endpoint.serves, candidates):
            try:
                return await self._ask(settings)
            except FailedError as failure:
                first = first or failure
                if failure.error.kind == "refused":
                    break  # it is the question that is wrong
        assert first is not None
        raise first

    async def _ask(self, settings: ModelSettings) -> Answering:
        """Ask one model, and again after failures that may pass. Raises FailedError."""
        number = 1
        while True:
            try:
                return await self._try(settings)
            except FailedError as failure:
                wait = self.sender.wait_before(number, failure.error) if failure.transient else None
                if wait is None or trio.current_time() + wait >= self.deadline:
                    raise
            await trio.sleep(wait)
            number += 1

    async def _try(self, settings: ModelSettings) -> Answering:
        """Ask once. Raises FailedError."""
        try:
            who = Provider.of(settings)
            url, headers = self.endpoint.url(settings), self.endpoint.headers(settings, self.headers)
            response = await self.sender.send(url, headers, self.question.content(settings), who=who)
        except (ModelError, TransientError) as error:
            raise FailedError(error) from error
        body = Body(response, who, self.sender.limits.answer_bytes)
        try:
            if not response.is_success:
                raise _refusal(who, response, await read_error(body))
            check_encoding(response.headers, who)
        except ModelError as error:
            await body.aclose()
            raise FailedError(error) from error
        except BaseException:
            await body.aclose()
            raise
        return Answering(settings, response.status_code, response.headers, body)


def _refusal(who: Provider, response: httpx.Response, words: bytes) -> FailedError:
    """Return the error of an answer whose status is not good. A redirect has no status of its own: it is never followed."""
    status = response.status_code
    failure = FailedError(who.status_error(status, response.headers, words), status if status >= 400 else 0)
    failure.headers = response.headers
    try:
        said = as_object(read_object(words).get("error"))
    except AnswerFaultError:
        return failure
    failure.parts = {name: who.clean(said[name]) for name in _PARTS if isinstance(said.get(name), str)}
    return failure
