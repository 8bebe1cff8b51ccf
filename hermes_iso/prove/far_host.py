"""FarHosts: servers on this machine's loopback that play hosts of the internet, and remember what reached them."""

from __future__ import annotations

import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from hermes_iso.background import Background
from hermes_iso.broker.egress.dialing import SystemLookup
from hermes_iso.broker.outside import MACHINES_OWN, Outside
from hermes_iso.prove.certificate import MISSING, make_certificate
from hermes_iso.prove.provider import is_whole, provider_answer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\nfrom-far-away"
TLS = b"\x16\x03"
"""What a client that speaks TLS begins with."""
PAUSE = 0.002
"""Seconds between two pieces of an answer, so that they do not arrive as one."""
CONNECTIONS = 4000
"""Connections that are remembered."""
TRUSTED_HOST = "trusted.example"
"""A host that has a certificate, speaks TLS and gives back what it was sent."""
REBOUND = {"loopback.probe.example": "127.0.0.1", "mapped.probe.example": "::ffff:127.0.0.1", "nothing.probe.example": "::"}
"""Names whose owners lead them to this machine."""
REMEMBERED = 1 << 14
"""Bytes of each connection that are remembered; what comes after them is read and dropped."""


class FarHost:
    """Answers every request with 200 and keeps on reading: what comes behind a request is heard, too.

    It answers a POST as a provider that means harm. tls: how it speaks TLS; without, it breaks off where that begins. What
    comes by TLS is remembered behind the two bytes that TLS begins with.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self._tls = tls
        self._heard: deque[bytearray] = deque(maxlen=CONNECTIONS)

    def heard(self, *texts: str) -> bool:
        """Return whether texts came, all of them on one connection."""
        return any(all(text.encode() in each for text in texts) for each in self._heard)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection until its other side ends it."""
        try:
            async with stream:
                if self._tls is None or await stream.socket.recv(len(TLS), socket.MSG_PEEK) != TLS:
                    await self._serve(stream, b"")
                else:
                    await self._serve(trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True), TLS)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return

    async def _serve(self, stream: trio.abc.Stream, spoken: bytes) -> None:
        """Answer the first request of a connection, and hear the rest."""
        heard = bytearray(spoken)
        self._heard.append(heard)
        answered = False
        while data := await stream.receive_some():
            heard += data[: REMEMBERED - len(heard)]
            if heard.startswith(TLS) and not spoken:
                return
            if not answered and is_whole(heard):
                answered = True
                await self._answer(stream, bytes(heard[len(spoken) :]))

    async def _answer(self, stream: trio.abc.Stream, heard: bytes) -> None:
        """Answer a request; a provider's pieces go out one by one, and the last ends the connection."""
        if not heard.startswith(b"POST "):
            await stream.send_all(ANSWER)
            return
        for piece in provider_answer(heard, self.port):
            await stream.send_all(piece)
            await trio.sleep(PAUSE)
        if isinstance(stream, trio.SocketStream):
            await stream.send_eof()


@asynccontextmanager
async def open_far_host(tls: ssl.SSLContext | None = None) -> AsyncIterator[FarHost]:
    """Serve a far host while the body runs."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host = FarHost(listener.socket.getsockname()[1], tls)
    async with listener, Background() as nursery:
        nursery.start_soon(trio.serve_listeners, host.serve, [listener])
        yield host


@dataclass(frozen=True, slots=True)
class FarHosts:
    """The hosts of one stage. far: plays all but one. trusted: TRUSTED_HOST, by TLS unless `missing` says why not.

    outside: how a gateway finds and trusts them.
    """

    far: FarHost
    trusted: FarHost
    outside: Outside = MACHINES_OWN
    missing: Mapping[str, str] = field(default_factory=dict)


@asynccontextmanager
async def open_far_hosts(place: Path) -> AsyncIterator[FarHosts]:
    """Serve both hosts while the body runs. place: where there is room for a certificate until it was read."""
    certificate = await make_certificate(TRUSTED_HOST, place)
    serving, trusting = (certificate.serving, certificate.trusting) if certificate else (None, None)
    missing = {} if certificate else {"certificate": MISSING}
    async with open_far_host() as far, open_far_host(serving) as trusted:
        yield FarHosts(far, trusted, Outside(trusting, _look_up), missing)


async def _look_up(name: str) -> Sequence[str]:
    """Answer as a name server of the internet would that is in on the attack. Raises OSError."""
    return [REBOUND[name]] if name in REBOUND else await SystemLookup()(name)
