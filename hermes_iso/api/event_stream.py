"""EventStream: server-sent events of one response, written beside whoever makes them.

A stream begins with the first event, or after FIRST_WAIT. A failure before that has its own HTTP status; after it, it is an
event that ends the stream. A client that does not read holds up its own stream and, once PIECES wait, whoever makes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import trio

from hermes_iso.api.errors import ApiError, Send, raw_headers, send_error

FIRST_WAIT = 5.0
"""Seconds without a word after which a stream's headers are sent anyway."""
KEEP_ALIVE = 15.0
"""Seconds without a word after which a comment is sent, so that nothing between here and the client gives up."""
PIECES = 64
"""Pieces that may wait for a slow client."""


class EventStream:
    """The stream of one response."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send = send
        self._headers = headers
        self._pieces, self._waiting = trio.open_memory_channel[bytes | ApiError](PIECES)
        self._started = False

    async def put(self, value: Any, event: str = "") -> None:
        """Add an event with a JSON value, and a name where it has one."""
        data = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        await self._pieces.send((f"event: {event}\n".encode() if event else b"") + b"data: " + data + b"\n\n")

    async def put_raw(self, piece: bytes) -> None:
        """Add an event as its bytes."""
        await self._pieces.send(piece)

    async def fail(self, error: ApiError) -> None:
        """Add a failure: the whole response where nothing was sent yet."""
        await self._pieces.send(error)

    def close(self) -> None:
        """Add nothing more: `write` ends after what there is."""
        self._pieces.close()

    async def write(self) -> None:
        """Write events as they come, and comments while none comes, until the end."""
        try:
            while True:
                piece: bytes | ApiError = b": keep-alive\n\n"
                with trio.move_on_after(KEEP_ALIVE if self._started else FIRST_WAIT):
                    piece = await self._waiting.receive()
                if isinstance(piece, ApiError):
                    if not self._started:
                        await send_error(self._send, piece, self._headers)
                        return
                    piece = b"data: " + json.dumps(piece.body, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
                await self._start()
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except trio.EndOfChannel:
            await self._start()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self) -> None:
        """Send the headers, once."""
        if not self._started:
            self._started = True
            headers = {**self._headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
            await self._send({"type": "http.response.start", "status": 200, "headers": raw_headers(headers)})


def rest_of(text: str, streamed: str) -> str:
    """Return what of a final text was not streamed as its last segment: all of it, its end, or nothing."""
    if streamed.strip().endswith(text.strip()):
        return ""
    return text.removeprefix(streamed)
