"""TLS to the host of a secret: to an address that the door's dialer checked, and to nobody without that host's certificate."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from hermes_iso.broker.egress.dialing import Dialer, NoWayError

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for the two sides to agree."""


@asynccontextmanager
async def open_tls(dialer: Dialer, host: str, port: int, context: ssl.SSLContext) -> AsyncIterator[trio.abc.Stream]:
    """Connect to a host; on leaving, the connection is gone. Raises NoWayError."""
    plain = await dialer.dial(host, port)
    stream = trio.SSLStream(plain, context, server_hostname=host, https_compatible=True)
    try:
        await _shake_hands(stream, host)
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def _shake_hands(stream: trio.SSLStream[trio.SocketStream], host: str) -> None:
    """Agree on TLS. Raises NoWayError."""
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            await stream.do_handshake()
    except trio.TooSlowError as error:
        raise NoWayError(f"{host} did not agree on TLS in time: try again later.") from error
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise NoWayError(f"{host} can't be trusted: its TLS certificate is not accepted.") from error
        raise NoWayError(f"{host} does not speak TLS, or broke off.") from error
