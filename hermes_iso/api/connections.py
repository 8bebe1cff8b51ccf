"""Connections: HTTP/1.1 by Hypercorn's protocol, on connections whose number, idle time and writes are bounded here.

Hypercorn's own server speaks HTTP/2 to whoever opens with it, and that can't be turned off; it takes any number of connections;
and its writes can't be cancelled, so a client that reads nothing would hold what waits for them. Its protocol for HTTP/1.1 has
none of that: it is a machine that is given bytes and hands bytes back, and what moves them is in this module.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any, NoReturn

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from hermes_iso.api.errors import ApiError, raw_headers

CONNECTIONS = 512
"""Connections that may be open at a time; a further one is told so and closed."""
IDLE_TIMEOUT = 5.0
"""Seconds that a connection may take until it has sent the head of its next request."""
SEND_TIMEOUT = 30.0
"""Seconds for a client to take what is written at a time."""
HEAD_BYTES = 8 << 10
"""Longest head of a request."""
READ_BYTES = 1 << 16
"""Most bytes that are read at a time."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 5\r\n\r\n"


class Connections:
    """Serves an ASGI application on every connection that is made."""

    def __init__(self, app: Any, *, most: int = CONNECTIONS) -> None:
        self._app = ASGIWrapper(app)
        self._most = most
        self._open = 0
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.accesslog = self._config.errorlog = None
        self._config.include_server_header = False
        self._config.h11_max_incomplete_size = HEAD_BYTES

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until it ends. What goes wrong with it is logged and touches no other."""
        if self._open >= self._most:
            await _turn_away(stream)
            return
        self._open += 1
        try:
            await Connection(stream, self._app, self._config, self._context).run()
        except OSError:
            return
        except Exception:  # noqa: BLE001  # one connection must not end the others
            structlog.get_logger().exception("connection_crashed")
        finally:
            self._open -= 1


async def _turn_away(stream: trio.SocketStream) -> None:
    """Say that there is no room, without waiting."""
    try:
        with trio.move_on_after(1):
            await stream.send_all(_FULL)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(stream)


class RefusedError(Exception):
    """A request was answered before the application saw it; nothing more is read from its connection."""


class Http1(H11Protocol):
    """Hypercorn's HTTP/1.1 alone."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Refuse HTTP/2, and what two readers could cut in two ways; Hypercorn would go over to HTTP/2 here.

        An upgrade that is only offered is ignored. Raises RefusedError.
        """
        names = [name for name, _ in event.headers]
        if event.http_version not in {b"1.0", b"1.1"}:
            await self._refuse(ApiError(505, "This server speaks HTTP/1.1.", code="http_version_not_supported"))
        if b"content-length" in names and b"transfer-encoding" in names:
            text = "A request has a Content-Length or a Transfer-Encoding, and this one has both."
            await self._refuse(ApiError(400, text, code="ambiguous_length"))

    async def _refuse(self, error: ApiError) -> NoReturn:
        """Answer with an error. Raises RefusedError."""
        content = json.dumps(error.body).encode()
        headers = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
        await self._send_h11_event(h11.Response(status_code=error.status, headers=raw_headers(headers)))
        await self._send_h11_event(h11.Data(data=content))
        await self._send_h11_event(h11.EndOfMessage())
        raise RefusedError


class Connection:
    """One connection."""

    def __init__(self, stream: trio.SocketStream, app: ASGIWrapper, config: Config, context: WorkerContext) -> None:
        self._stream = stream
        self._app = app
        self._config = config
        self._context = context
        self._writing = trio.Lock()
        self._reading = trio.CancelScope()
        self._idle_until = trio.current_time() + IDLE_TIMEOUT

    async def run(self) -> None:
        """Serve until either side ends it. Raises OSError when the client has gone already."""
        try:
            client, server = self._stream.socket.getpeername()[:2], self._stream.socket.getsockname()[:2]
            async with TaskGroup() as tasks:
                state = ConnectionState({})
                self._protocol = Http1(self._app, self._config, self._context, tasks, state, False, client, server, self._take)
                await self._read()
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        """Hand on what the client sends, until it ends, breaks off, or is idle for too long."""
        with suppress(RefusedError):
            while data := await self._receive():
                await self._protocol.handle(RawData(data))
        await self._protocol.handle(Closed())
        await self._close()

    async def _receive(self) -> bytes:
        """Return the next bytes, none at the end."""
        self._reading = trio.CancelScope(deadline=self._idle_until)
        try:
            with self._reading:
                return bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        return b""

    async def _take(self, event: Event) -> None:
        """Take what the protocol wants done: bytes to write, a change between idle and busy, or the end."""
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Updated):
            self._idle_until = trio.current_time() + IDLE_TIMEOUT if event.idle else math.inf
            self._reading.deadline = self._idle_until
        elif isinstance(event, Closed):
            await self._close()
            await self._protocol.handle(Closed())

    async def _write(self, data: bytes) -> None:
        """Write bytes. A connection that took only a part, because of time or of being cancelled, is of no use any more."""
        written = False
        try:
            async with self._writing:
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError), trio.move_on_after(SEND_TIMEOUT):
                    await self._stream.send_all(data)
                    written = True
        finally:
            if not written:
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(self._stream)
        if not written:
            await self._protocol.handle(Closed())

    async def _close(self) -> None:
        """End the connection after what was written."""
        async with self._writing:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._stream.send_eof()
            await self._stream.aclose()
