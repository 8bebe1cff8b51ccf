"""Bind the socket of an HTTP server, so that a port in use is told in one sentence."""

from __future__ import annotations

import socket

from hermes_iso.errors import UsageError

STUCK_TIMEOUT = 60.0
"""Seconds after which the kernel gives up a client that vanished without a word."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to a host and port, 0 for any. Raises UsageError that says what is in the way."""
    host = host.strip("[]")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        text = f"The API can't listen on {host!r}: {error.strerror}; correct api_server.extra.host."
        raise UsageError(text) from error
    sock = socket.socket(found[0], socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STUCK_TIMEOUT * 1000))
        sock.bind(found[4])
        sock.listen(128)
    except OSError as error:
        sock.close()
        text = f"The API can't listen on {host}:{port} ({error.strerror}): stop what uses it, or choose another port."
        raise UsageError(text) from error
    return sock


def url_of(sock: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
