"""Read and write frames on the turn's inherited socket; stdout stays free for tools. Blocking, for one thread."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.call_wire import FunctionCall

READ_SIZE = 1 << 16
_KNOWN = {**wire.HOST_MESSAGES, FunctionCall.t: FunctionCall}


class CallError(Exception):
    """The host answered a broker call with an error; `kind` is its short name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class Interrupted(Exception):  # noqa: N818  # not an error: the host asked for it
    """The host asked this turn to stop while it waited for an answer."""


class LinkClosed(Exception):  # noqa: N818  # ends the turn process, like SystemExit
    """The host closed the channel: nobody waits for this turn any more."""


class Link:
    """The one channel of a turn. Frames that arrive while something else is awaited are kept in order."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = wire.FrameReader()
        self._ready: deque[Any] = deque()
        self._last_call = 0
        self._interrupted = False
        self._told: list[str] = []

    def fileno(self) -> int:
        """Return the descriptor that is readable when the host sent something."""
        return self._sock.fileno()

    def send(self, message: wire.Message) -> None:
        """Write one message. Raise LinkClosed when the host is gone, WireError when it does not fit a frame."""
        frame = wire.encode(message)
        try:
            self._sock.sendall(frame)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise LinkClosed from error

    def receive(self) -> Any:
        """Wait for the next message of the host. Raise LinkClosed at the end of the stream."""
        while not self._ready:
            self._read()
        return self._ready.popleft()

    def call(
        self, method: str, params: dict[str, Any], on_chunk: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Ask the broker and wait for its answer, handing streamed pieces to `on_chunk` as they come.

        Raises CallError when the broker refuses, Interrupted when the host wants the turn to stop meanwhile.
        """
        self._last_call += 1
        call_id = self._last_call
        self.send(wire.BrokerCall(call_id, method, params))
        while True:
            message = self.receive()
            if isinstance(message, wire.Interrupt):
                self._interrupted = True
                raise Interrupted
            if getattr(message, "call_id", None) != call_id:
                continue  # the late answer to a call that an interrupt abandoned
            if isinstance(message, wire.BrokerChunk):
                if on_chunk is not None:
                    on_chunk(message.data)
            elif isinstance(message, wire.BrokerAnswer):
                if message.ok:
                    return message.data
                raise CallError(str(message.data.get("kind", "")), str(message.data.get("message", "")))

    def listen(self) -> Any:
        """Wait for the next message of the host, what the turn is told included. Raise LinkClosed at the end."""
        while not self._ready and not self._told:
            self._read()
        return wire.Steer(self._told.pop(0)) if self._told else self._ready.popleft()

    def poll_interrupt(self) -> bool:
        """Return whether the host has asked this turn to stop; never blocks."""
        while not self._interrupted and select.select([self._sock], [], [], 0)[0]:
            self._read()
        if any(isinstance(message, wire.Interrupt) for message in self._ready):
            self._interrupted = True
        return self._interrupted

    def take_told(self) -> list[str]:
        """Return what the turn was told since the last time, oldest first; never blocks."""
        while select.select([self._sock], [], [], 0)[0]:
            self._read()
        told, self._told = self._told, []
        return told

    def _read(self) -> None:
        """Take in what the socket has, waiting for at least one byte. What the turn is told is no answer: it is kept apart."""
        try:
            data = self._sock.recv(READ_SIZE)
        except ConnectionResetError as error:
            raise LinkClosed from error
        if not data:
            raise LinkClosed
        for body in self._reader.feed(data):
            message = wire.decode(body, _KNOWN)
            if isinstance(message, wire.Steer):
                self._told.append(message.text)
            else:
                self._ready.append(message)
