"""Values of functions as JSON text: what crosses to the host is data, and what is none is an error where it was made.

JSON's own values stand for themselves, tuples become lists, dataclasses and mappings objects. What JSON has no form for is an
object whose one key begins with `$`: bytes {"$bytes": base64}, a mapping whose keys are not all plain text {"$items": [[key,
value], ...]}, and the floats that JSON lacks {"$float": "nan"}. `hermes_iso_sandbox.values` reads it back.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

MOST_DEPTH = 30
"""Deepest nesting: the marks of bytes and mappings add levels, and the host reads 64."""


class NotDataError(TypeError):
    """A value that no data stands for; the text says where in it."""


def to_text(value: Any) -> str:
    """Return the JSON text of a value. Raise NotDataError for what is not data."""
    return json.dumps(_plain(value, "the value", 0), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _plain(value: Any, where: str, depth: int) -> Any:
    """Return a value as JSON has it."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if not -(1 << 63) <= value < (1 << 64):
            raise NotDataError(f"{where} is an integer of more than 64 bits")
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"$bytes": base64.b64encode(value).decode()}
    if depth >= MOST_DEPTH:
        raise NotDataError(f"{where} is nested deeper than {MOST_DEPTH}, or holds itself")
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{place}]", depth + 1) for place, each in enumerate(value)]
    if is_dataclass(value) and not isinstance(value, type):
        return _mapping({each.name: getattr(value, each.name) for each in fields(value)}, where, depth)
    if isinstance(value, Mapping):
        return _mapping(value, where, depth)
    raise NotDataError(
        f"{where} is a {type(value).__qualname__}, and only data comes back: None, bool, int, float, str, bytes, lists, "
        "tuples, mappings and dataclasses of these"
    )


def _mapping(value: Mapping[Any, Any], where: str, depth: int) -> Any:
    """Return a mapping as JSON has it."""
    items = [(key, _plain(each, f"{where}[{key!r:.40}]", depth + 1)) for key, each in value.items()]
    if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
        return dict(items)
    return {"$items": [[_plain(key, f"a key of {where}", depth + 1), each] for key, each in items]}
