"""The host's end of a sandbox's door: take the listener that a process handed over before any of the agent's code ran in it.

From then on that channel is read with plain reads, which drop every descriptor, so what an agent pushes never arrives. The
listener is checked all the same: a bad one is no door.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import anyio
import anyio.lowlevel

from hermes_iso_sandbox.confinement import Confinement

TIMEOUT = 10.0
"""Seconds that a process has to confine itself and hand its listener over."""
ServeDoor: TypeAlias = Callable[[Confinement, socket.socket], Awaitable[None]]
"""Serves the door of a command or background process until it is cancelled; it owns the listener."""


async def close_door(confinement: Confinement, listener: socket.socket) -> None:  # noqa: ARG001  # the form of ServeDoor
    """Serve no door: what connects is refused."""
    listener.close()
    await anyio.lowlevel.checkpoint()


@contextlib.asynccontextmanager
async def beside_door(channel: socket.socket | None, confinement: Confinement, serve: ServeDoor) -> AsyncIterator[None]:
    """Serve the door that comes on a channel beside the body; it is closed with it. No channel: no door."""
    if channel is None:
        yield
        return
    with channel:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve, channel, confinement, serve)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


async def _serve(channel: socket.socket, confinement: Confinement, serve: ServeDoor) -> None:
    """Wait for the door, and serve it."""
    listener = await receive_door(channel)
    if listener is not None:
        await serve(confinement, listener)


async def receive_door(channel: socket.socket) -> socket.socket | None:
    """Return the listener that comes with the first byte of a channel, not blocking; None when there is none.

    Cancelling loses nothing: it is heard before the byte is read.
    """
    with anyio.move_on_after(TIMEOUT):
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(channel, 1, 1, socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT)
                return _listener(data, descriptors)
            except BlockingIOError:
                await anyio.wait_readable(channel)
            except OSError:
                return None
    return None


def _listener(data: bytes, descriptors: list[int]) -> socket.socket | None:
    """Return what was handed over as a socket, when it is a listener on the loopback."""
    if not descriptors:
        return None
    try:
        listener = socket.socket(fileno=descriptors[0])
    except OSError:
        os.close(descriptors[0])
        return None
    if data == b"d" and _is_on_loopback(listener):
        listener.setblocking(False)
        return listener
    listener.close()
    return None


def _is_on_loopback(listener: socket.socket) -> bool:
    """Return whether a socket accepts TCP connections on 127.0.0.1."""
    return (
        listener.family == socket.AF_INET
        and listener.type == socket.SOCK_STREAM
        and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        and listener.getsockname()[0] == "127.0.0.1"
    )
