"""Lease: the exclusive right to one turn process, and the bounds of what that may say."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import SocketAttribute, UNIXSocketStream

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.door import receive_door
from hermes_iso_sandbox.errors import FloodError, GuestDiedError, ProtocolError
from hermes_iso_sandbox.processes import Processes
from hermes_iso_sandbox.zygote import Forked

TURN_BYTES = 64 << 20
TURN_EVENTS = 20_000
COSTLY = 0.001
"""Seconds of reading after which a message is followed by a pause of PAUSE_FACTOR times as long."""
PAUSE_FACTOR = 4


class Lease:
    """The exclusive right to one turn process: send it its request, receive what it says."""

    def __init__(self, forked: Forked, stream: UNIXSocketStream, processes: Processes, *, has_door: bool = False) -> None:
        self.processes = processes
        self._forked = forked
        self._has_door = has_door
        self._stream = stream
        self._reader = wire.FrameReader()
        self._bodies: list[bytes] = []
        self._bytes = 0
        self._events = 0
        self._sending = anyio.Lock(fast_acquire=True)

    async def take_door(self) -> socket.socket | None:
        """Return the turn's own door, to be served and closed by the caller; None where it has none, or was taken."""
        if not self._has_door:
            return None
        self._has_door = False
        return await receive_door(self._stream.extra(SocketAttribute.raw_socket))  # noqa: S610  # no Django here

    async def send(self, message: wire.Message) -> None:
        """Send one message to the guest. Raise GuestDiedError when it is gone."""
        frame = wire.encode(message)
        async with self._sending:
            try:
                await self._stream.send(frame)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                raise await self._died() from error

    async def receive(self, known: Mapping[str, type[Any]] = wire.GUEST_MESSAGES) -> Any:
        """Return the guest's next message, one of `known`.

        Raises ProtocolError for a bad frame, FloodError beyond the bounds of a turn, GuestDiedError when the guest is gone.
        """
        if (door := await self.take_door()) is not None:  # nobody wants it, and it comes before all messages
            door.close()
        while not self._bodies:
            try:
                data = await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
                if self._reader.partial:
                    raise ProtocolError("The agent's process ended inside a frame.") from error
                raise await self._died() from error
            self._bytes += len(data)
            if self._bytes > TURN_BYTES:
                raise FloodError(f"The agent's process sent more than the {TURN_BYTES >> 20} MiB that a turn may.")
            try:
                self._bodies = self._reader.feed(data)[::-1]
            except wire.WireError as error:
                raise ProtocolError(f"The agent's process sent something that is no message: {error}.") from error
        self._events += 1
        if self._events > TURN_EVENTS:
            raise FloodError(f"The agent's process sent more than the {TURN_EVENTS} messages that a turn may.")
        began = time.perf_counter()
        try:
            return wire.decode(self._bodies.pop(), known)
        except wire.WireError as error:
            raise ProtocolError(f"The agent's process sent something that is no message: {error}.") from error
        finally:
            await self._make_room(time.perf_counter() - began)

    async def _make_room(self, seconds: float) -> None:
        """Let everybody else run after every message, and for longer after one that was costly to read."""
        if seconds > COSTLY:
            await anyio.sleep(PAUSE_FACTOR * seconds)
        else:
            await anyio.lowlevel.checkpoint()

    async def _died(self) -> GuestDiedError:
        """Return the error for a guest that closed its channel without an answer."""
        with anyio.move_on_after(1):
            await self._forked.gone.wait()
        status = self._forked.status
        how = "was killed" if status is None or status > 128 else "ended"
        stderr = self._forked.stderr.text() if self._forked.stderr else ""
        return GuestDiedError(f"The agent's process {how} before it answered (status {status}).", status, stderr)


async def close(forked: Forked, stream: UNIXSocketStream) -> None:
    """Let go of what the host holds of a turn process, whatever cancels us."""
    if forked.stderr:
        forked.stderr.close()
    with anyio.CancelScope(shield=True):
        await stream.aclose()
