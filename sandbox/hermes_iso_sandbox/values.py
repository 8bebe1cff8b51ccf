"""Values that a function sent: JSON text of the form of `guest.values`, read as hostile data. Nothing is ever unpickled."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from typing import Any

from hermes_iso_sandbox import wire

VALUE_BYTES = 16 << 20
"""Longest value, as JSON text."""
ALIKE = 64
"""Most different keys of a mapping that have the same hash: each is compared with all before it."""
SHAPE = wire.Shape(nodes=500_000, values=1_000_000, quotes=2_000_000)


def from_text(text: str) -> Any:
    """Return the value that a text stands for. Raise wire.WireError when it stands for none."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > VALUE_BYTES:
        raise wire.WireError(f"a value of {len(data)} bytes is over the limit of {VALUE_BYTES}")
    return _value(wire.decode_json(data, SHAPE))


def _value(plain: Any) -> Any:
    """Return the value that JSON stands for."""
    if isinstance(plain, list):
        return [_value(each) for each in plain]
    if not isinstance(plain, dict):
        return plain
    match plain:
        case {"$bytes": str(text), **rest} if not rest:
            return _bytes(text)
        case {"$float": "nan" | "inf" | "-inf" as text, **rest} if not rest:
            return float(text)
        case {"$items": list(items), **rest} if not rest:
            return _mapping(items)
    if any(key.startswith("$") for key in plain):
        raise wire.WireError("a value with an unknown mark")
    return {key: _value(each) for key, each in plain.items()}


def _bytes(text: str) -> bytes:
    """Return what base64 stands for."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise wire.WireError("bytes that are not base64") from None


def _mapping(items: list[Any]) -> dict[Any, Any]:
    """Return a mapping whose keys are not all text. A list can't be a key: it becomes a tuple, which the guest had."""
    pairs: list[tuple[Any, Any]] = []
    for item in items:
        if not isinstance(item, list) or len(item) != 2:
            raise wire.WireError("a mapping with something that is no pair")
        pairs.append((_key(_value(item[0])), _value(item[1])))
    _check_hashes(key for key, _ in pairs)
    mapping = dict(pairs)
    if len(mapping) != len(items):
        raise wire.WireError("duplicate key")
    return mapping


def _check_hashes(keys: Iterable[Any]) -> None:
    """Refuse keys of which many have the same hash. Those of numbers and tuples hold nothing random, unlike those of texts."""
    if max(Counter(map(hash, keys)).values(), default=0) > ALIKE:
        raise wire.WireError(f"a mapping of which more than {ALIKE} keys have the same hash")


def _key(value: Any) -> Any:
    """Return a value as a key of a mapping."""
    if isinstance(value, list):
        return tuple(_key(each) for each in value)
    if isinstance(value, dict):
        raise wire.WireError("a mapping as a key")
    return value
