"""Watch: looks for values that must not pass in bytes that do, across the borders of their pieces.

Nothing is held back but what could be the beginning of a value: usually no byte, so that pieces go on as they came. Found is a
value as it is and in the spellings that programs make of it by themselves: percent-encoded, in JSON, in base64 and in hex. Who
disguises a value in other ways is not stopped by this: only hosts that the operator chose ever see it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

SHORTEST = 8
"""Characters that a value must have to be looked for: a shorter one stands in many texts by chance."""


class Watch:
    """Takes the pieces of one message in order: `passed = watch.take(piece)` until None, then `watch.rest()`."""

    __slots__ = ("_held", "_patterns")

    def __init__(self, patterns: tuple[bytes, ...]) -> None:
        self._patterns = patterns
        self._held = b""

    def take(self, piece: bytes) -> bytes | None:
        """Return what may go on now, or None when a value is there: then nothing more may."""
        data = self._held + piece if self._held else piece
        if any(pattern in data for pattern in self._patterns):
            return None
        kept = max((_overlap(data, pattern) for pattern in self._patterns), default=0)
        self._held = data[len(data) - kept :]
        return data[: len(data) - kept] if kept else data

    def rest(self) -> bytes:
        """Return what was held back, at the message's end."""
        held, self._held = self._held, b""
        return held


def spellings(values: Iterable[str]) -> tuple[bytes, ...]:
    """Return the patterns that stand for values which are long enough to be looked for."""
    found: dict[bytes, None] = {}
    for value in values:
        if len(value) >= SHORTEST:
            raw = value.encode()
            texts = (
                value,
                quote(value, safe=""),
                json.dumps(value)[1:-1],
                value.replace("/", "\\/"),
                raw.hex(),
                raw.hex().upper(),
            )
            found |= dict.fromkeys(text.encode() for text in texts)
            found |= dict.fromkeys(each for start in range(3) for each in _base64(raw, start))
    return tuple(found)


def _base64(raw: bytes, start: int) -> tuple[bytes, ...]:
    """Return what of a value's base64 hangs on no neighbour, in both alphabets, with so many bytes before it."""
    first = -start % 3
    inner = raw[first : first + (len(raw) - first) // 3 * 3]
    return (base64.b64encode(inner), base64.urlsafe_b64encode(inner)) if len(inner) >= SHORTEST - 2 else ()


def _overlap(data: bytes, pattern: bytes) -> int:
    """Return how many bytes at the end of `data` are the beginning of a pattern."""
    start = max(0, len(data) - len(pattern) + 1)
    while (start := data.find(pattern[:1], start)) >= 0:
        if pattern.startswith(data[start:]):
            return len(data) - start
        start += 1
    return 0
