"""A door on 127.0.0.1 with hosts behind it that are not of this world: every name leads to a server of the test."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import trio

from hermes_iso.background import Background
from hermes_iso.broker.egress.dialing import Dialer, Endpoint
from hermes_iso.broker.egress.door import Door, DoorLimits
from hermes_iso.broker.egress.rules import EgressRules, parse_rule
from hermes_iso.broker.egress.serving import serve_door

Handler = Callable[[trio.abc.Stream], Awaitable[None]]


@dataclass
class Opened:
    """What a test has in hand: the door, its address, and the records so far."""

    door: Door
    port: int
    records: list[dict[str, Any]]
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def url(self) -> str:
        """What HTTP_PROXY would say."""
        return f"http://127.0.0.1:{self.port}"

    async def connect(self) -> trio.SocketStream:
        """Connect to the door, as a client in the sandbox would."""
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def talk(self, data: bytes) -> bytes:
        """Send bytes and return all that comes back until the door closes."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            return await read_all(stream)


async def read_all(stream: trio.abc.Stream) -> bytes:
    """Return everything until the other side ends or breaks off."""
    answer = b""
    try:
        while chunk := await stream.receive_some(1 << 16):
            answer += chunk
    except trio.BrokenResourceError:
        pass
    return answer


async def read_head(stream: trio.abc.Stream) -> bytes:
    """Return bytes until an empty line, byte by byte, so that nothing behind it is lost."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = await stream.receive_some(1)
        if not byte:
            break
        head += byte
    return head


def rules(*allow: str, deny: tuple[str, ...] = ()) -> EgressRules:
    """Return rules as a config would make them."""
    return EgressRules(
        tuple(parse_rule(text, key=f"agents.coder.egress.allow[{n}]", place=f"c.yaml:{n}") for n, text in enumerate(allow)),
        tuple(
            parse_rule(text, deny=True, key=f"agents.coder.egress.deny[{n}]", place=f"c.yaml:{n}")
            for n, text in enumerate(deny)
        ),
        "agents.coder.egress",
        "c.yaml:1",
    )


@asynccontextmanager
async def opened(
    allowed: EgressRules, *, hosts: dict[str, int] | None = None, dialer: Dialer | None = None, **more: Any
) -> AsyncIterator[Opened]:
    """Serve a door whose `hosts` lead to ports of 127.0.0.1; further keywords are the door's or its limits'."""
    records: list[dict[str, Any]] = []
    of_limits = {key: more.pop(key) for key in list(more) if key in DoorLimits.__slots__}
    dialer = dialer or Dialer({name: Endpoint("127.0.0.1", port) for name, port in (hosts or {}).items()})
    door = Door("coder", "turn-1", allowed, records.append, dialer, DoorLimits(**of_limits), **more)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    found = Opened(door, listener.socket.getsockname()[1], records)

    async def serve(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with found.scope:
            await serve_door(listener, door, task_status=task_status)

    async with Background() as nursery:
        await nursery.start(serve)
        yield found


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve connections on 127.0.0.1, with TLS where a context is given, and yield the port."""

    async def serve(stream: trio.SocketStream) -> None:
        wrapped = stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        try:
            async with wrapped:
                await handler(wrapped)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async with Background() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]


@dataclass
class WebServer:
    """An HTTP server that tells what it was asked; `handle` serves a connection with one request."""

    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-From: host\r\n\r\nhello"

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Read one request whole, and answer."""
        http = h11.Connection(h11.SERVER)
        head = await read_head(stream)
        self.heads.append(head)
        http.receive_data(head)
        body = b""
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive_some(1 << 16))
            elif isinstance(event, h11.Data):
                body += event.data
        self.bodies.append(body)
        await stream.send_all(self.answer)
