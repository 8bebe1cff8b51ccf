"""ModelBroker: the gateway's one way to a model; it holds the keys, decides what is asked, retries, keeps to the deadline."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import SystemRandom
from types import TracebackType
from typing import Self

import httpx
import trio

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.anthropic import AnthropicReader, anthropic_body, anthropic_headers, anthropic_url
from hermes_iso.broker.calls import JsonObject, ModelAnswer, ModelCall, ModelLimits, OfferedTool, OfflineFacts, OnText
from hermes_iso.broker.faults import Provider, TransientError
from hermes_iso.broker.offline import answer_offline
from hermes_iso.broker.openai import OpenAIReader, openai_body, openai_headers, openai_url
from hermes_iso.broker.upstream import AnswerReader, TextSink, read_answer, send
from hermes_iso.errors import ModelError

__all__ = ["ModelAnswer", "ModelBroker", "ModelCall", "ModelLimits", "OfferedTool", "OfflineFacts", "OnText"]

_KEPT_CONNECTIONS = 32
_KEPT_SECONDS = 30.0
_HEADERS: Mapping[str, str] = {
    "accept": "text/event-stream, application/json",
    "accept-encoding": "identity",
    "user-agent": "hermes-iso",
}


def _full_jitter(ceiling: float) -> float:
    """Return a random wait up to `ceiling`, in seconds: callers that failed together must not come back together."""
    return SystemRandom().uniform(0.0, ceiling)


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How one kind of provider is spoken to."""

    url: Callable[[str], str]
    headers: Callable[[ModelSettings], dict[str, str]]
    body: Callable[[ModelCall], JsonObject]
    reader: Callable[[], AnswerReader]


def _openai_body_without_usage(call: ModelCall) -> JsonObject:
    """Return the request body for a server that refuses `stream_options`."""
    return openai_body(call, with_usage=False)


_OPENAI = _Dialect(openai_url, openai_headers, openai_body, OpenAIReader)
_OPENAI_PLAIN = _Dialect(openai_url, openai_headers, _openai_body_without_usage, OpenAIReader)
_ANTHROPIC = _Dialect(anthropic_url, anthropic_headers, anthropic_body, AnthropicReader)


class ModelBroker:
    """Ask models; one per gateway, used by all turns at once: `async with ModelBroker() as broker`.

    It owns one HTTP transport, so that connections are reused. A transport alone and no client of httpx: it keeps no cookies,
    which one agent's answers would set for all, and follows no redirects. Nothing of the environment (proxies, CA variables of
    Python libraries, netrc) reaches it, and certificates are checked against the system's bundle.
    """

    def __init__(self, limits: ModelLimits | None = None, *, jitter: Callable[[float], float] = _full_jitter) -> None:
        self._limits = limits or ModelLimits()
        self._jitter = jitter
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._tls: ssl.SSLContext | None = None
        self._without_usage: set[str] = set()

    async def __aenter__(self) -> Self:
        self._tls = ssl.create_default_context()
        self._transport = httpx.AsyncHTTPTransport(
            verify=self._tls,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=_KEPT_CONNECTIONS, keepalive_expiry=_KEPT_SECONDS),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    @property
    def tls(self) -> ssl.SSLContext:
        """By what hosts are trusted; to load it takes a while, so there is one."""
        if self._tls is None:
            raise RuntimeError("a ModelBroker trusts hosts only inside its `async with`")
        return self._tls

    @property
    def limits(self) -> ModelLimits:
        """The bounds of one exchange."""
        return self._limits

    async def complete(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        """Ask the model of `call.settings` and return its answer; `on_text` gets the text as it comes.

        Raises ModelError; what `on_text` got by then stays said. Cancelling it closes the connection.
        """
        with trio.move_on_at(call.deadline):
            answer = await self._answer(call, on_text)
            self._check_size(call, answer)
            return answer
        raise ModelError(
            "timeout", f"The model {call.settings.model} did not finish its answer within the turn's time: try again."
        )

    async def _answer(self, call: ModelCall, on_text: OnText) -> ModelAnswer:
        """Let whoever the settings name answer."""
        settings = call.settings
        if settings.api_mode == "offline" and settings.provider != "none":
            return await answer_offline(call, on_text)
        who = Provider.of(settings)
        sink = TextSink(on_text, self._limits.text_interval)
        if settings.api_mode == "anthropic_messages":
            return await self._ask(call, _ANTHROPIC, who, sink)
        if settings.base_url in self._without_usage:
            return await self._ask(call, _OPENAI_PLAIN, who, sink)
        try:
            return await self._ask(call, _OPENAI, who, sink)
        except ModelError as error:
            if error.kind != "refused" or "stream_options" not in str(error):
                raise
        answer = await self._ask(call, _OPENAI_PLAIN, who, sink)
        self._without_usage.add(settings.base_url)
        return answer

    async def _ask(self, call: ModelCall, dialect: _Dialect, who: Provider, sink: TextSink) -> ModelAnswer:
        """Ask once, and again after failures that may pass, while nothing was said and the deadline leaves time."""
        for number in range(1, self._limits.tries + 1):
            try:
                return await self._try(call, dialect, who, sink)
            except TransientError as failure:
                wait = self.wait_before(number, failure.error)
                if sink.started or wait is None or trio.current_time() + wait >= call.deadline:
                    raise failure.error from failure
            await trio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def wait_before(self, number: int, error: ModelError) -> float | None:
        """Return the seconds to wait after try `number`, or None when there is to be no other."""
        if number >= self._limits.tries:
            return None
        ceiling = min(self._limits.backoff_cap, self._limits.backoff * 2 ** (number - 1))
        asked = error.retry_after
        if asked is None:
            return self._jitter(ceiling)
        return asked + self._jitter(min(ceiling, asked)) if asked <= self._limits.retry_after_cap else None

    async def _try(self, call: ModelCall, dialect: _Dialect, who: Provider, sink: TextSink) -> ModelAnswer:
        """Ask once. Raise ModelError or TransientError."""
        headers = {**call.settings.headers, **dialect.headers(call.settings), "content-type": "application/json"}
        content = json.dumps(dialect.body(call), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        response = await self.send(dialect.url(call.settings.base_url), headers, content, who=who)
        return await read_answer(response, dialect.reader(), sink, who=who, limits=self._limits)

    async def send(self, url: str, headers: Mapping[str, str], content: bytes, *, who: Provider) -> httpx.Response:
        """Post a request and return the answer once its head is there; its body is to be closed by `upstream.Body`.

        Raises TransientError where another try may help, else ModelError.
        """
        if self._transport is None:
            raise RuntimeError("a ModelBroker answers only inside its `async with`")
        limits = self._limits
        timeout = httpx.Timeout(limits.read_timeout, connect=limits.connect_timeout).as_dict()
        merged = httpx.Headers(_HEADERS)
        merged.update(headers)
        request = httpx.Request("POST", url, headers=merged, content=content, extensions={"timeout": timeout})
        return await send(self._transport, request, who)

    def _check_size(self, call: ModelCall, answer: ModelAnswer) -> None:
        """Refuse an answer that would not fit in a frame to the guest."""
        size, limit = len(json.dumps(answer.message, ensure_ascii=False).encode("utf-8", "replace")), self._limits.message_bytes
        if size > limit:
            text = f"The answer of model {call.settings.model} has {size} bytes, more than {limit}: ask for less."
            raise ModelError("bad_response", text)
