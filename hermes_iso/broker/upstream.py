"""One HTTP request to a provider and the reading of its answer: every failure of the network becomes a ModelError here."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

import trio

from hermes_iso.broker.calls import PIECE, JsonObject, ModelAnswer, ModelLimits, OnText
from hermes_iso.broker.events import EventReader, read_object
from hermes_iso.broker.faults import AnswerFaultError, Provider, TransientError
from hermes_iso.broker.http_client import HttpClient, HttpError, HttpResponse
from hermes_iso.broker.trying import Patience
from hermes_iso.errors import ModelError

ERROR_BODY_LIMIT = 64 << 10
"""Most bytes read of an error's body."""
_DRAIN_TIMEOUT = 0.2
"""Seconds that the end of a complete answer may take, for the sake of its connection's reuse."""


class AnswerReader(Protocol):
    """Reads one answer in one dialect; `read_answer` calls it, event by event."""

    complete: bool

    @property
    def finished(self) -> bool:
        """True once nothing that comes after is needed."""

    def take(self, event: JsonObject) -> str:
        """Take an event or a whole answer; return the text it adds. Raises AnswerFaultError."""

    def answer(self) -> ModelAnswer:
        """Return the answer as far as it was read. Raises AnswerFaultError."""


class Sender(Protocol):
    """Sends requests to providers; `hermes_iso.broker.models.ModelBroker` is one."""

    @property
    def tls(self) -> ssl.SSLContext:
        """By what hosts are trusted."""

    @property
    def patience(self) -> Patience:
        """How often models are asked, within which bounds."""

    async def send(self, url: str, headers: Mapping[str, str], content: bytes, *, who: Provider) -> HttpResponse:
        """Post a request and return the answer once its head is there. Raises TransientError, ModelError."""


class TextSink:
    """Hand text on in bounded pieces, and not more often than the interval says; `started` once anything was handed on."""

    __slots__ = ("_interval", "_next", "_on_text", "_waiting", "started")

    def __init__(self, on_text: OnText, interval: float) -> None:
        self._on_text = on_text
        self._interval = interval
        self._waiting: list[str] = []
        self._next = -float("inf")
        self.started = False

    async def add(self, text: str) -> None:
        """Take text; hand on what waits when its time has come."""
        if text:
            self._waiting.append(text)
        if self._waiting and trio.current_time() >= self._next:
            await self.flush()

    async def flush(self) -> None:
        """Hand on all that waits."""
        text = "".join(self._waiting)
        self._waiting.clear()
        for start in range(0, len(text), PIECE):
            await self.hand_on(text[start : start + PIECE])
        self._next = trio.current_time() + self._interval

    async def hand_on(self, piece: str) -> None:
        """Hand a piece on as it is, and now."""
        self.started = True
        await self._on_text(piece)


class Body:
    """The bytes of a response, bounded in number; always to be closed."""

    __slots__ = ("_left", "_response", "_who")

    def __init__(self, response: HttpResponse, who: Provider, limit: int) -> None:
        self._response = response
        self._who = who
        self._left = limit

    async def read(self) -> bytes:
        """Return the next bytes, or nothing at the end. Raise ModelError: cut, timeout, or bad_response over the limit."""
        try:
            chunk = await self._response.read()
        except HttpError as error:
            if error.fault == "silent":
                raise self._who.error("timeout", "stopped sending in the middle of its answer: try again.") from error
            raise self._who.error("cut", "broke off in the middle of its answer: try again.") from error
        self._left -= len(chunk)
        if self._left < 0:
            raise self._who.error(
                "bad_response", "sent an answer that is too long to take: ask for less, or choose another model."
            )
        return chunk

    async def drain(self) -> None:
        """Read what little may be left of a complete answer; that it breaks off now harms nobody."""
        with trio.move_on_after(_DRAIN_TIMEOUT), suppress(ModelError):
            while await self.read():
                pass

    def close(self) -> None:
        """Close the connection unless the answer was read to its end."""
        self._response.close()


async def read_answer(
    response: HttpResponse, reader: AnswerReader, sink: TextSink, *, who: Provider, limits: ModelLimits
) -> ModelAnswer:
    """Read the answer to a request that was sent. Raise ModelError, or TransientError where another try may help."""
    body = Body(response, who, limits.answer_bytes)
    try:
        if not response.is_success:
            raise who.status_error(response.status, response.headers, await read_error(body))
        check_encoding(response.headers, who)
        await _read_good(body, reader, sink, who, limits)
        return reader.answer()
    except AnswerFaultError as fault:
        raise who.answer_error(fault) from fault
    finally:
        body.close()


async def send(client: HttpClient, url: str, headers: Mapping[str, str], content: bytes, who: Provider) -> HttpResponse:
    """Post a request and wait for the head of its answer. Raise TransientError unless asking again is pointless or dear."""
    try:
        return await client.post(url, headers, content)
    except HttpError as error:
        raise _failure(error, who) from error


def _failure(error: HttpError, who: Provider) -> ModelError | TransientError:
    """Return the error of a request that got no answer."""
    if error.fault == "unsendable":
        text = "can't be asked: its address, its key or a header of the request holds characters that can't be sent."
        return who.error("config", text)
    if error.fault == "untrusted":
        text = "can't be trusted: its TLS certificate or handshake is not accepted; check base_url and the system's CA bundle."
        return who.error("unreachable", text)
    if error.fault == "silent":
        return who.error("timeout", "did not begin to answer in time: try again.")
    if error.fault == "broken":
        return TransientError(who.error("unreachable", "closed the connection without an answer: try again later."))
    cause = _root(error)
    why = "no answer in time" if isinstance(error.__cause__, trio.TooSlowError) else _reason(cause)
    return TransientError(
        who.error("unreachable", "can't be reached{said}: check base_url, and that the server runs.", said=why)
    )


def _root(error: BaseException) -> BaseException:
    """Return the first cause of an exception; of several addresses that failed, the first one's."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return _root(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _reason(error: BaseException) -> str:
    """Return what the system says about a connection that failed."""
    if not isinstance(error, OSError):
        return str(error) or "no connection"
    # trio puts the address into strerror; resolver errors, whose numbers are negative or their own, have no other text
    known = not isinstance(error, socket.gaierror) and error.errno
    return os.strerror(known) if known else error.strerror or "no connection"


async def read_error(body: Body) -> bytes:
    """Return the beginning of an error's body, or what came of it."""
    data = b""
    try:
        while len(data) < ERROR_BODY_LIMIT and (chunk := await body.read()):
            data += chunk
    except ModelError:
        return data[:ERROR_BODY_LIMIT]
    return data[:ERROR_BODY_LIMIT]


def check_encoding(headers: Mapping[str, str], who: Provider) -> None:
    """Refuse a compressed answer: none was asked for, and unpacking it would undo the bounds on its size."""
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise who.error("bad_response", "sent a compressed answer, which was not asked for: switch compression off there.")


async def _read_good(body: Body, reader: AnswerReader, sink: TextSink, who: Provider, limits: ModelLimits) -> None:
    """Read an answer whose status is good: a stream of events, or one JSON document where the server does not stream."""
    head = b""
    while not head.strip() and (chunk := await body.read()):
        head += chunk
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if first.startswith(b"<"):
        raise who.error("bad_response", "answered with a web page, not with an answer of its API: check base_url.")
    if first.startswith((b"{", b"[")):
        await sink.add(reader.take(await _read_document(body, first, limits)))
    elif not await _read_events(body, first, reader, sink, limits) and not reader.finished:
        raise who.error("cut", "ended its answer before it was finished: try again.")
    await sink.flush()


async def _read_document(body: Body, head: bytes, limits: ModelLimits) -> JsonObject:
    """Return an answer that is one JSON object."""
    data = bytearray(head)
    while len(data) <= limits.document_bytes and (chunk := await body.read()):
        data += chunk
    if len(data) > limits.document_bytes:
        raise AnswerFaultError("bad_response", f"its answer is longer than {limits.document_bytes} bytes")
    return read_object(bytes(data))


async def _read_events(body: Body, head: bytes, reader: AnswerReader, sink: TextSink, limits: ModelLimits) -> bool:
    """Let reader and sink take the events of a stream; return True when the stream said that it is over."""
    events = EventReader(limits.event_bytes)
    chunk = head
    while chunk:
        for event in events.feed(chunk):
            if await _take_event(event, reader, sink):
                await body.drain()
                return True
        try:
            chunk = await body.read()
        except ModelError:
            if reader.finished:
                return True
            raise
    for event in events.finish():
        try:
            if await _take_event(event, reader, sink):
                return True
        except AnswerFaultError:
            return False  # half an event: the stream was cut
    return False


async def _take_event(event: bytes, reader: AnswerReader, sink: TextSink) -> bool:
    """Take one event; return True when it is the last one."""
    if event.strip() == b"[DONE]":
        return True
    if event.strip():
        await sink.add(reader.take(read_object(event)))
    return reader.complete
