"""FarHost: a server on this machine's loopback that plays a host of the internet, and remembers what reached it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from hermes_iso.background import Background

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nfrom-far-away"
CONNECTIONS = 4000
"""Connections that are remembered."""
REMEMBERED = 1 << 14
"""Bytes of each connection that are remembered; what comes after them is read and dropped."""


class FarHost:
    """Answers every request with 200 and keeps on reading: what comes behind a request is heard, too."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._heard: deque[bytearray] = deque(maxlen=CONNECTIONS)

    def heard(self, text: str) -> bool:
        """Return whether a text came on any connection."""
        return any(text.encode() in each for each in self._heard)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until its other side ends it."""
        heard = bytearray()
        self._heard.append(heard)
        answered = False
        try:
            async with stream:
                while data := await stream.receive_some():
                    heard += data[: REMEMBERED - len(heard)]
                    if not answered and b"\r\n\r\n" in heard:
                        answered = True
                        await stream.send_all(ANSWER)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


@asynccontextmanager
async def open_far_host() -> AsyncIterator[FarHost]:
    """Serve a far host while the body runs."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host = FarHost(listener.socket.getsockname()[1])
    async with listener, Background() as nursery:
        nursery.start_soon(trio.serve_listeners, host.serve, [listener])
        yield host
