"""What moves bytes between a guest and the host it may reach: a tunnel as they are, a plain request framed anew."""

from __future__ import annotations

import h11
import trio

from hermes_iso.background import Background
from hermes_iso.broker.egress.client import READ_BYTES, Client, ClientGoneError
from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.broker.egress.heads import BadRequestError, Target, end_to_end

ANSWER_HEAD_BYTES = 1 << 16
"""Longest head of an answer."""
INTERIM_ANSWERS = 16
"""Answers like `100 Continue` before the one that counts."""
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
    """Send the client's request on and its answer back; return whether another request may follow.

    Both go on at the same time, because a host may answer before it has read everything. Raises NoWayError,
    BadRequestError when the request's body turns out malformed, ClientGoneError.
    """
    remote = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_HEAD_BYTES)
    faults: list[Exception] = []
    async with Background() as nursery:
        nursery.start_soon(_send_request, client, target, remote, upstream, faults, nursery.cancel_scope)
        await _relay_answer(client, remote, upstream)
    if faults:
        raise faults[0]
    return await client.finish()


async def _send_request(
    client: Client,
    target: Target,
    remote: h11.Connection,
    upstream: trio.SocketStream,
    faults: list[Exception],
    whole: trio.CancelScope,
) -> None:
    """Send head and body. A host that reads no further may still answer; a client's fault ends the whole."""
    try:
        await upstream.send_all(remote.send(_head(client.request, target)) or b"")
        while data := await client.receive():
            await upstream.send_all(remote.send(h11.Data(data=data)) or b"")
        await upstream.send_all(remote.send(h11.EndOfMessage()) or b"")
    except _GONE:
        return
    except (BadRequestError, ClientGoneError) as error:
        faults.append(error)
        whole.cancel()


def _head(request: h11.Request, target: Target) -> h11.Request:
    """Return the request as it goes on: own Host, own framing, and this one request on its connection."""
    host = target.host if target.port == 80 else f"{target.host}:{target.port}"
    headers = [(name, value) for name, value in end_to_end(request.headers) if name not in (b"host", b"expect")]
    chunked = [(name, value) for name, value in request.headers if name == b"transfer-encoding"]
    own = [(b"host", host.encode()), (b"connection", b"close"), *chunked]
    return h11.Request(method=request.method, target=target.path.encode(), headers=own + headers)


async def _relay_answer(client: Client, remote: h11.Connection, upstream: trio.SocketStream) -> None:
    """Hand the host's answer to the client, without what is about the connection alone."""
    answer = await _next(remote, upstream)
    for _ in range(INTERIM_ANSWERS):
        if not isinstance(answer, h11.InformationalResponse):
            break
        answer = await _next(remote, upstream)
    if not isinstance(answer, h11.Response):
        raise NoWayError("The host gave no answer to the request.")
    headers = end_to_end(answer.headers)
    if any(name == b"transfer-encoding" for name, _ in answer.headers):
        headers = [(name, value) for name, value in headers if name != b"content-length"]
    await client.start(answer.status_code, headers)
    while isinstance(event := await _next(remote, upstream), h11.Data):
        await client.send(bytes(event.data))


async def _next(remote: h11.Connection, upstream: trio.SocketStream) -> object:
    """Return the host's next event. Raises NoWayError."""
    try:
        while (event := remote.next_event()) is h11.NEED_DATA:
            remote.receive_data(bytes(await upstream.receive_some(READ_BYTES)))
    except _GONE as error:
        raise NoWayError("The host broke off the connection.") from error
    except h11.RemoteProtocolError as error:
        raise NoWayError("The host's answer is no HTTP/1.1, or was cut off.") from error
    return event
