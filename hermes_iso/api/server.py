"""serve_api: the HTTP server."""

from __future__ import annotations

import trio

from hermes_iso.api.app import build_app
from hermes_iso.api.choice import ApiLine
from hermes_iso.api.connections import Connections
from hermes_iso.config.schema import ApiSettings
from hermes_iso.listening import bind, url_of


async def serve_api(
    line: ApiLine, settings: ApiSettings, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve until cancelled; started() gives the URL. Raises UsageError when the address can't be had."""
    sock = bind(settings.host, settings.port)
    url = url_of(sock)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    connections = Connections(build_app(line))
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, connections.serve, [listener])
        task_status.started(url)
