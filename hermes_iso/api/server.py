"""serve_api: the HTTP server, Hypercorn on trio; its socket is bound here, so that a port in use is told in one sentence."""

from __future__ import annotations

import socket
from typing import Any, cast

import trio
from hypercorn.config import Config as ServerConfig
from hypercorn.trio import serve

from hermes_iso.api.app import build_app
from hermes_iso.api.choice import ApiLine
from hermes_iso.config.schema import ApiSettings
from hermes_iso.errors import UsageError

STUCK_TIMEOUT = 60.0
"""Seconds after which the kernel gives up a client that takes nothing: a write to one can't be cancelled."""
IDLE_TIMEOUT = 30.0
"""Seconds that a connection may wait for its next request."""
GRACE = 3.0
"""Seconds for responses to end when the server stops."""


async def serve_api(
    line: ApiLine, settings: ApiSettings, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; started() gives the URL. Raises UsageError when the address can't be had."""
    sock = bind(settings.host, settings.port)
    config = ServerConfig()
    config.bind = [f"fd://{sock.fileno()}"]
    config.accesslog = config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_TIMEOUT
    config.graceful_timeout = GRACE
    url = url_of(sock)
    sock.detach()
    app = cast("Any", build_app(line, settings))
    async with trio.open_nursery() as nursery:
        await nursery.start(_serve_app, app, config)
        task_status.started(url)


async def _serve_app(app: Any, config: ServerConfig, *, task_status: trio.TaskStatus[list[str]]) -> None:
    """Run Hypercorn; it closes the socket."""
    await serve(app, config, task_status=task_status, mode="asgi")


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
