"""What moves bytes between a guest and the host it may reach: a tunnel as they are, a plain request framed anew."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

import h11
import trio

from hermes_iso.background import Background
from hermes_iso.broker.egress.client import READ_BYTES, Client, ClientGoneError
from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.broker.egress.door import LocalExchange
from hermes_iso.broker.egress.heads import BadRequestError, Headers, Target, end_to_end

ANSWER_HEAD_BYTES = 1 << 16
"""Longest head of an answer."""
INTERIM_ANSWERS = 16
"""Answers like `100 Continue` before the one that counts."""


class Inspector(Protocol):
    """Looks at an answer before a client gets it. What it raises ends the exchange."""

    def check_headers(self, headers: Headers) -> None:
        """Look at the headers. Raises NoWayError."""

    def take(self, piece: bytes) -> bytes:
        """Return what of the body may go on now. Raises NoWayError."""

    def rest(self) -> bytes:
        """Return what was held back until the body's end."""


_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


async def tunnel(client: Client, upstream: trio.SocketStream) -> None:
    """Carry bytes both ways until both sides have ended, or one breaks off. Either may end its own way first."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_carry_up, client, upstream, nursery.cancel_scope)
        nursery.start_soon(_carry_down, client, upstream, nursery.cancel_scope)


async def _carry_up(client: Client, upstream: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        while data := await client.read():
            await upstream.send_all(data)
        await upstream.send_eof()
    except _GONE:
        both.cancel()


async def _carry_down(client: Client, upstream: trio.SocketStream, both: trio.CancelScope) -> None:
    try:
        while data := await upstream.receive_some(READ_BYTES):
            await client.write(bytes(data))
        await client.end_writing()
    except (*_GONE, ClientGoneError):
        both.cancel()


async def forward(client: Client, target: Target, upstream: trio.SocketStream) -> bool:
    """Send the client's request on and its answer back; return whether another request may follow. Raises as `exchange`."""
    authority = target.host if target.port == 80 else f"{target.host}:{target.port}"
    await exchange(client, forwarded(client.request, authority, target.path), upstream)
    return await client.finish()


async def exchange(
    client: LocalExchange,
    head: h11.Request,
    upstream: trio.abc.Stream,
    inspector: Inspector | None = None,
    *,
    silence: float = math.inf,
) -> None:
    """Send a request on, with the client's body, and its answer back, past an inspector where there is one.

    silence: most seconds between two pieces of the answer, where nobody else watches over that.

    Both go on at the same time, because a host may answer before it has read everything. Raises NoWayError,
    BadRequestError when the request's body turns out malformed, ClientGoneError.
    """
    remote = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_HEAD_BYTES)
    faults: list[Exception] = []
    async with Background() as nursery:
        nursery.start_soon(_send_request, client, head, remote, upstream, faults, nursery.cancel_scope)
        await _relay_answer(client, partial(_next, remote, upstream, silence), inspector)
    if faults:
        raise faults[0]


async def _send_request(
    client: LocalExchange,
    head: h11.Request,
    remote: h11.Connection,
    upstream: trio.abc.Stream,
    faults: list[Exception],
    whole: trio.CancelScope,
) -> None:
    """Send head and body. A host that reads no further may still answer; a client's fault ends the whole."""
    try:
        await upstream.send_all(remote.send(head) or b"")
        while data := await client.receive():
            await upstream.send_all(remote.send(h11.Data(data=data)) or b"")
        await upstream.send_all(remote.send(h11.EndOfMessage()) or b"")
    except _GONE:
        return
    except (BadRequestError, ClientGoneError) as error:
        faults.append(error)
        whole.cancel()


def forwarded(request: h11.Request, authority: str, path: str) -> h11.Request:
    """Return a request as it goes on to HOST or HOST:PORT: own Host, own framing, and this one request on its connection."""
    headers = [(name, value) for name, value in end_to_end(request.headers) if name not in (b"host", b"expect")]
    chunked = [(name, value) for name, value in request.headers if name == b"transfer-encoding"]
    own = [(b"host", authority.encode()), (b"connection", b"close"), *chunked]
    return h11.Request(method=request.method, target=path.encode(), headers=own + headers)


async def _relay_answer(client: LocalExchange, receive: Callable[[], Awaitable[object]], inspector: Inspector | None) -> None:
    """Hand the host's answer to the client, without what is about the connection alone."""
    answer = await receive()
    for _ in range(INTERIM_ANSWERS):
        if not isinstance(answer, h11.InformationalResponse):
            break
        answer = await receive()
    if not isinstance(answer, h11.Response):
        raise NoWayError("The host gave no answer to the request.")
    headers = end_to_end(answer.headers)
    if any(name == b"transfer-encoding" for name, _ in answer.headers):
        headers = [(name, value) for name, value in headers if name != b"content-length"]
    if inspector is not None:
        inspector.check_headers(headers)
    await client.start(answer.status_code, headers)
    while isinstance(event := await receive(), h11.Data):
        data = bytes(event.data) if inspector is None else inspector.take(bytes(event.data))
        if data:
            await client.send(data)
    if inspector is not None and (rest := inspector.rest()):
        await client.send(rest)


async def _next(remote: h11.Connection, upstream: trio.abc.Stream, silence: float) -> object:
    """Return the host's next event. Raises NoWayError."""
    try:
        while (event := remote.next_event()) is h11.NEED_DATA:
            with trio.fail_after(silence):
                remote.receive_data(bytes(await upstream.receive_some(READ_BYTES)))
    except trio.TooSlowError as error:
        raise NoWayError(f"The host said nothing for {silence:g} seconds.") from error
    except _GONE as error:
        raise NoWayError("The host broke off the connection.") from error
    except h11.RemoteProtocolError as error:
        raise NoWayError("The host's answer is no HTTP/1.1, or was cut off.") from error
    return event
