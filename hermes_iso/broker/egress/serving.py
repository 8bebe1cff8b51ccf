"""serve_door: accepts a turn's connections on its listener, as many as its door allows."""

from __future__ import annotations

import errno

import structlog
import trio

from hermes_iso.broker.egress.client import Client, ClientGoneError
from hermes_iso.broker.egress.door import Door
from hermes_iso.broker.egress.proxy import serve_connection

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_PAUSE = 0.1
"""Seconds until the next try when the gateway has no descriptor left."""


async def serve_door(
    listener: trio.SocketListener, door: Door, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve a door until its deadline. Takes the listener: on leaving, however, it and every connection are closed.

    After as many connections as may be have come the listener closes, so that further ones cost the gateway nothing.
    """
    with trio.CancelScope(deadline=door.deadline):
        async with trio.open_nursery() as nursery:
            task_status.started()
            async with listener:
                stream = await _accept(listener)
                while door.spend():
                    nursery.start_soon(_serve, stream, door)
                    stream = await _accept(listener)
            await trio.aclose_forcefully(stream)


async def _accept(listener: trio.SocketListener) -> trio.SocketStream:
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _OUT_OF_RESOURCES:
                raise
            await trio.sleep(_PAUSE)


async def _serve(stream: trio.SocketStream, door: Door) -> None:
    """Serve one connection. What goes wrong with it is logged and touches no other."""
    if door.usage.open >= door.limits.connections:
        await _turn_away(stream, door)
        return
    door.usage.open += 1
    try:
        await serve_connection(stream, door)
    except Exception:  # noqa: BLE001  # one connection must not end the others
        structlog.get_logger().exception("egress_connection_crashed", agent=door.agent, turn=door.turn)
    finally:
        door.usage.open -= 1


async def _turn_away(stream: trio.SocketStream, door: Door) -> None:
    """Say that too many connections are open, without waiting for long."""
    try:
        with trio.move_on_after(1):
            sentence = f"{door.limits.connections} connections are open already: close one, or try again later."
            await Client(stream, door).answer(503, sentence, last=True)
    except ClientGoneError:
        return
    finally:
        await trio.aclose_forcefully(stream)
