"""Cut a streamed answer into its server-sent events, and read their JSON, within bounds."""

from __future__ import annotations

import json
from typing import Any

from hermes_iso.broker.calls import JsonObject
from hermes_iso.broker.faults import AnswerFaultError


class EventReader:
    """Cut bytes into the data of server-sent events; keeps no more than one event and one read's worth of bytes.

    Of the format only `data` matters here: both dialects repeat the event's name inside of it. Lines end in LF or CRLF.
    """

    __slots__ = ("_data", "_limit", "_searched", "_size", "_tail")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tail = bytearray()
        self._searched = 0
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take in bytes as they came and return the data of the events that are now whole, in order.

        Raise AnswerFaultError when an event or a line is over the limit.
        """
        self._tail += data
        events: list[bytes] = []
        start = 0
        while (end := self._tail.find(b"\n", max(start, self._searched))) >= 0:
            self._take_line(bytes(self._tail[start:end]).removesuffix(b"\r"), events)
            start = end + 1
        del self._tail[:start]
        self._searched = len(self._tail)
        if len(self._tail) > self._limit:
            raise AnswerFaultError("bad_response", f"an event of its answer is longer than {self._limit} bytes")
        return events

    def finish(self) -> list[bytes]:
        """Return the event that the end of the stream leaves without its blank line: some servers forget it."""
        events: list[bytes] = []
        for line in (bytes(self._tail), b""):
            self._take_line(line, events)
        self._tail.clear()
        return events

    def _take_line(self, line: bytes, events: list[bytes]) -> None:
        """Take one line; a blank one ends the event."""
        if line.startswith(b"data:"):
            value = line[5:].removeprefix(b" ")
            self._data.append(value)
            self._size += len(value)
        elif not line and self._data:
            events.append(b"\n".join(self._data))
            self._data, self._size = [], 0
        if self._size > self._limit or len(line) > self._limit:
            raise AnswerFaultError("bad_response", f"an event of its answer is longer than {self._limit} bytes")


def read_object(data: bytes) -> JsonObject:
    """Return the JSON object that an event or a whole answer is. Raise AnswerFaultError when it is none."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise AnswerFaultError("bad_response", "its answer is not valid JSON") from None
    if not isinstance(value, dict):
        raise AnswerFaultError("bad_response", "its answer is not a JSON object")
    return value


def as_object(value: Any) -> JsonObject:
    """Return `value` when it is an object, else an empty one: compatible servers send null, or leave things out."""
    return value if isinstance(value, dict) else {}


def as_objects(value: Any) -> list[JsonObject]:
    """Return the objects in `value` when it is a list, else none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """Return `value` when it is text, with lone surrogates replaced: they can't be sent on as UTF-8."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def as_count(value: Any) -> int:
    """Return `value` when it is a plausible number of tokens, else 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40 else 0
