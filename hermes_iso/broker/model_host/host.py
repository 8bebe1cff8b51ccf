"""ModelHost: answers one turn's programs at `http://model.local/v1/…` through the agent's own provider.

A program sends what it would send to the provider, with any key. The gateway checks which model and tools are asked for, puts
in the real key, and passes the answer on piece by piece as it comes. Both ways to a model, this one and the engine's, are
charged to the same budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus

from hermes_iso.broker.egress.door import LocalExchange
from hermes_iso.broker.model_host.answering import Answers
from hermes_iso.broker.model_host.asking import BadBodyError, read_question
from hermes_iso.broker.model_host.endpoints import Endpoint, dialect_of, find_endpoint, passed_back, served_paths
from hermes_iso.broker.model_host.menu import Offer
from hermes_iso.broker.model_host.replies import Reply
from hermes_iso.broker.model_host.upstream import Errand, RefusalError, Sender
from hermes_iso.errors import ModelError

BODY_BYTES = 8 << 20
"""Longest body of a request."""
_STATUS: Mapping[str, int] = {"budget": 429, "rate_limited": 429, "refused": 400, "timeout": 504, "config": 503}
"""Statuses of failures that have none of a provider's; all others are 502."""


_NOT_FOR_PROGRAMS = "Programs in this sandbox have no model host: its operator opens one with agents.<id>.models."


class ModelHost:
    """Answers requests of one turn. `deadline` is by trio's clock.

    key: what a request must have as its key, where only the turn's engine may ask. note: takes why a request failed, None when
    one did not.
    """

    def __init__(
        self,
        sender: Sender,
        *,
        menu: Offer,
        answers: Answers,
        deadline: float,
        key: str = "",
        note: Callable[[ModelError | None], None] = lambda _: None,
    ) -> None:
        self._key = key
        self._note = note
        self._sender = sender
        self._menu = menu
        self._answers = answers
        self._deadline = deadline

    @property
    def hosts(self) -> frozenset[str]:
        """Further names that it answers to."""
        return self._menu.hosts

    async def serve(self, exchange: LocalExchange) -> None:
        """Answer one request. Raises NoWayError when an answer that has begun can't be brought to its end."""
        method, target = exchange.request.method.decode("ascii"), exchange.request.target.decode("ascii")
        target = "/" + target.partition("://")[2].partition("/")[2] if "://" in target else target
        endpoint = find_endpoint(method, target, below=bool(self._menu.hosts))
        if endpoint is None:
            await self._serve_lists(Reply(exchange, "OpenAI"), method, target)
            return
        reply = Reply(exchange, endpoint.dialect)
        try:
            await self._answer(reply, exchange, endpoint)
            self._note(None)
        except BadBodyError as error:
            await reply.error(error.status, str(error))
        except RefusalError as error:
            self._note(error)
            status = error.status or _STATUS.get(error.kind, HTTPStatus.BAD_GATEWAY)
            await reply.error(status, str(error), parts=error.parts, headers=passed_back(error.headers))
        except ModelError as error:
            self._note(error)
            await reply.error(_STATUS.get(error.kind, HTTPStatus.BAD_GATEWAY), str(error))

    async def _answer(self, reply: Reply, exchange: LocalExchange, endpoint: Endpoint) -> None:
        """Read the question and have it answered."""
        headers = _headers(exchange)
        key = headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self._key and key != self._key and not self._menu.knows(key):
            raise BadBodyError(_NOT_FOR_PROGRAMS, HTTPStatus.FORBIDDEN)
        question = read_question(await _read_body(exchange, headers), self._menu.models_for(key), self._menu.refused)
        if not endpoint.serves(question.settings):
            dialect, model = dialect_of(question.settings), question.settings.model
            there = served_paths({model: question.settings})
            raise BadBodyError(f"The model {model} speaks {dialect}'s dialect and is not here: there are {there}.", 404)
        await self._answers.give(
            reply, Errand(self._menu.sender(self._sender, question.settings), endpoint, question, headers, self._deadline)
        )

    async def _serve_lists(self, reply: Reply, method: str, target: str) -> None:
        """Answer what is about the models themselves, and what there is nothing at."""
        path = target.partition("?")[0]
        name = path.removeprefix("/v1/models/")
        if method == "GET" and path == "/v1/models":
            names = dict.fromkeys(settings.model for settings in self._menu.models.values())
            data = [_described(each) for each in names]
            ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {}
            await reply.json(200, json.dumps({"object": "list", "data": data, "has_more": False, **ends}).encode())
        elif method == "GET" and name in self._menu.models:
            await reply.json(200, json.dumps(_described(self._menu.models[name].model)).encode())
        else:
            await reply.error(404, f"The model host has nothing at this address: there are {served_paths(self._menu.models)}.")


async def _read_body(exchange: LocalExchange, headers: Mapping[str, str]) -> bytes:
    """Return a request's body. Raises BadBodyError."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadBodyError("The request's Content-Type is not application/json.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise BadBodyError("The request's body is compressed: send it plain.", HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = bytearray()
    while piece := await exchange.receive():
        body += piece
        if len(body) > BODY_BYTES:
            raise BadBodyError(f"The request's body is longer than {BODY_BYTES} bytes.", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(body)


def _headers(exchange: LocalExchange) -> dict[str, str]:
    """Return a request's headers; of one that stands there twice the last."""
    return {name.decode("ascii"): value.decode("latin-1") for name, value in exchange.request.headers}


def _described(model: str) -> dict[str, object]:
    """Return a model as a list of either dialect has it."""
    return {
        "id": model,
        "object": "model",
        "created": 0,
        "owned_by": "hermes-iso",
        "type": "model",
        "display_name": model,
        "created_at": "1970-01-01T00:00:00Z",
    }
