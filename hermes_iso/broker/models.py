"""ModelBroker: the gateway's one way to a model; it holds the keys, decides what is asked, keeps to the deadline."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

import trio

from hermes_iso.broker.calls import ModelAnswer, ModelCall, ModelLimits, OfferedTool, OfflineFacts, OnText
from hermes_iso.broker.dialects import ANTHROPIC, OPENAI, OPENAI_PLAIN, Dialect
from hermes_iso.broker.faults import Provider
from hermes_iso.broker.http_client import HttpClient, HttpResponse
from hermes_iso.broker.offline import answer_offline
from hermes_iso.broker.trying import Patience, full_jitter
from hermes_iso.broker.upstream import TextSink, read_answer, send
from hermes_iso.errors import ModelError

__all__ = ["ModelAnswer", "ModelBroker", "ModelCall", "ModelLimits", "OfferedTool", "OfflineFacts", "OnText"]

_HEADERS: Mapping[str, str] = {
    "accept": "text/event-stream, application/json",
    "accept-encoding": "identity",
    "user-agent": "hermes-iso",
}


class ModelBroker:
    """Ask models; one per gateway, used by all turns at once: `async with ModelBroker() as broker`.

    It owns one HTTP client, so that connections are reused: one that keeps no cookies, which one agent's answers would set for
    all, and follows no redirects. Nothing of the environment (proxies, CA variables of Python libraries, netrc) reaches it, and
    certificates are checked against the system's bundle, unless `tls` says otherwise.
    """

    def __init__(
        self,
        limits: ModelLimits | None = None,
        *,
        jitter: Callable[[float], float] = full_jitter,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.patience = Patience(limits or ModelLimits(), jitter)
        self._client: HttpClient | None = None
        self._tls = tls
        self._without_usage: set[str] = set()

    async def __aenter__(self) -> Self:
        self._tls = self._tls or ssl.create_default_context()
        limits = self.patience.limits
        self._client = HttpClient(self._tls, connect_timeout=limits.connect_timeout, silence=limits.read_timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def tls(self) -> ssl.SSLContext:
        """By what hosts are trusted; to load it takes a while, so there is one."""
        if self._tls is None:
            raise RuntimeError("a ModelBroker trusts hosts only inside its `async with`")
        return self._tls

    async def complete(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        """Ask the model of `call.settings` and return its answer; `on_text` gets the text as it comes.

        Raises ModelError; what `on_text` got by then stays said. Cancelling it closes the connection.
        """
        with trio.move_on_at(call.deadline):
            answer = await self._answer(call, on_text)
            self._check_size(answer)
            return answer
        raise ModelError(
            "timeout", f"The model {call.settings.model} did not finish its answer within the turn's time: try again."
        )

    async def _answer(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        """Let the settings' model answer, else its fallbacks, as long as nothing was said. Raises ModelError."""
        sink = TextSink(on_text, self.patience.limits.text_interval)
        asked = [replace(call, settings=settings) for settings in (call.settings, *call.fallbacks)]
        ask = partial(self._ask, sink=sink)
        return await self.patience.first_answer(asked, ask, deadline=call.deadline, begun=lambda: sink.started)

    async def _ask(self, call: ModelCall, sink: TextSink) -> ModelAnswer:
        """Ask one model once. Raise ModelError or TransientError."""
        return replace(await self._ask_in_dialect(call, sink), model=call.settings.model)

    async def _ask_in_dialect(self, call: ModelCall, sink: TextSink) -> ModelAnswer:
        """Ask one model once, as its provider is spoken to. Raise ModelError or TransientError."""
        settings = call.settings
        if settings.api_mode == "offline" and settings.provider != "none":
            return await answer_offline(call, sink.hand_on)
        who = Provider.of(settings)
        if settings.api_mode == "anthropic_messages":
            return await self._try(call, ANTHROPIC, who, sink)
        if settings.base_url in self._without_usage:
            return await self._try(call, OPENAI_PLAIN, who, sink)
        try:
            return await self._try(call, OPENAI, who, sink)
        except ModelError as error:
            if error.kind != "refused" or "stream_options" not in str(error):
                raise
        answer = await self._try(call, OPENAI_PLAIN, who, sink)
        self._without_usage.add(settings.base_url)
        return answer

    async def _try(self, call: ModelCall, dialect: Dialect, who: Provider, sink: TextSink) -> ModelAnswer:
        """Ask once. Raise ModelError or TransientError."""
        headers = {**call.settings.headers, **dialect.headers(call.settings), "content-type": "application/json"}
        content = json.dumps(dialect.body(call), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        response = await self.send(dialect.url(call.settings.base_url), headers, content, who=who)
        return await read_answer(response, dialect.reader(), sink, who=who, limits=self.patience.limits)

    async def send(self, url: str, headers: Mapping[str, str], content: bytes, *, who: Provider) -> HttpResponse:
        """Post a request and return the answer once its head is there; it is to be closed.

        Raises TransientError where another try may help, else ModelError.
        """
        if self._client is None:
            raise RuntimeError("a ModelBroker answers only inside its `async with`")
        merged = {**_HEADERS, **{name.lower(): value for name, value in headers.items()}}
        return await send(self._client, url, merged, content, who)

    def _check_size(self, answer: ModelAnswer) -> None:
        """Refuse an answer that would not fit in a frame to the guest."""
        size, limit = (
            len(json.dumps(answer.message, ensure_ascii=False).encode("utf-8", "replace")),
            self.patience.limits.message_bytes,
        )
        if size > limit:
            text = f"The answer of model {answer.model} has {size} bytes, more than {limit}: ask for less."
            raise ModelError("bad_response", text)
