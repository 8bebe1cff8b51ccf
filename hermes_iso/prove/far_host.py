"""FarHost: a server on this machine's loopback that plays hosts of the internet, and remembers what reached it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from hermes_iso.background import Background
from hermes_iso.prove.provider import is_whole, provider_answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nfrom-far-away"
TLS = b"\x16\x03"
"""What a client that speaks TLS begins with."""
PAUSE = 0.002
"""Seconds between two pieces of an answer, so that they do not arrive as one."""
CONNECTIONS = 4000
"""Connections that are remembered."""
REMEMBERED = 1 << 14
"""Bytes of each connection that are remembered; what comes after them is read and dropped."""


class FarHost:
    """Answers every request with 200 and keeps on reading: what comes behind a request is heard, too.

    It answers a POST as a provider that means harm, and does not speak TLS: it breaks off where that begins.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._heard: deque[bytearray] = deque(maxlen=CONNECTIONS)

    def heard(self, *texts: str) -> bool:
        """Return whether texts came, all of them on one connection."""
        return any(all(text.encode() in each for text in texts) for each in self._heard)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until its other side ends it."""
        heard = bytearray()
        self._heard.append(heard)
        answered = False
        try:
            async with stream:
                while data := await stream.receive_some():
                    heard += data[: REMEMBERED - len(heard)]
                    if heard.startswith(TLS):
                        return
                    if not answered and is_whole(heard):
                        answered = True
                        await self._answer(stream, bytes(heard))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _answer(self, stream: trio.SocketStream, heard: bytes) -> None:
        """Answer a request; a provider's pieces go out one by one, and the last ends the connection."""
        if not heard.startswith(b"POST "):
            await stream.send_all(ANSWER)
            return
        for piece in provider_answer(heard, self.port):
            await stream.send_all(piece)
            await trio.sleep(PAUSE)
        await stream.send_eof()


@asynccontextmanager
async def open_far_host() -> AsyncIterator[FarHost]:
    """Serve a far host while the body runs."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host = FarHost(listener.socket.getsockname()[1])
    async with listener, Background() as nursery:
        nursery.start_soon(trio.serve_listeners, host.serve, [listener])
        yield host
