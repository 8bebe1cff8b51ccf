"""Meter: reads the token counts out of an answer that is passed on, streamed or not, and never holds it up."""

from __future__ import annotations

from hermes_iso.broker.calls import JsonObject
from hermes_iso.broker.events import EventReader, as_count, as_object, read_object
from hermes_iso.broker.faults import AnswerFaultError
from hermes_iso.messages import Usage

_EVENT_BYTES = 1 << 20
_DOCUMENT_BYTES = 4 << 20
"""Longest event and answer that is read for counts; what is longer is charged by its bytes."""
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Meter:
    """Takes the bytes of one answer; `usage` is what its provider has said so far."""

    __slots__ = ("_counts", "_document", "_events")

    def __init__(self, *, streamed: bool) -> None:
        self._events = EventReader(_EVENT_BYTES) if streamed else None
        self._document: bytearray | None = None if streamed else bytearray()
        self._counts: JsonObject = {}

    def take(self, piece: bytes) -> None:
        """Take the next bytes."""
        if self._document is not None:
            self._document += piece
            if len(self._document) > _DOCUMENT_BYTES:
                self._document = None
        if self._events is None:
            return
        try:
            for event in self._events.feed(piece):
                self._count(event)
        except AnswerFaultError:
            self._events = None

    def finish(self) -> Usage:
        """Return the counts, once the answer is over or was broken off."""
        if self._document:
            self._count(bytes(self._document))
        counts = self._counts
        prompt = counts.get("prompt_tokens") or sum(counts.get(name, 0) for name in _INPUT)
        return Usage(prompt, counts.get("completion_tokens") or counts.get("output_tokens", 0), calls=1)

    def _count(self, data: bytes) -> None:
        """Keep the newest of each count in an event or a whole answer."""
        if b'"usage"' not in data and b'"input_tokens"' not in data:
            return
        try:
            value = read_object(data)
        except AnswerFaultError:
            return
        for holder in (value, as_object(value.get("message")), as_object(value.get("response"))):
            usage = as_object(holder.get("usage"))
            self._counts.update({name: as_count(number) for name, number in usage.items() if isinstance(number, int)})
