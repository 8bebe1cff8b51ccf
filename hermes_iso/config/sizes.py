"""Sizes as a config writes them: 512M, 2G, or a whole number of bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic_core import PydanticCustomError

_SIZE = re.compile(r"([1-9][0-9]{0,17})([KMG]?)\Z", re.ASCII)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_LARGEST = 1 << 60


def size_reader(least: str) -> Callable[[Any], int]:
    """Return a validator that turns a size into bytes. Raises PydanticCustomError: `size`, or `greater_than_equal`."""

    def read(value: Any) -> int:
        size = _bytes(value)
        if size < _bytes(least):
            raise PydanticCustomError("greater_than_equal", "too small", {"ge": least})
        return size

    return read


def _bytes(value: Any) -> int:
    written = str(value).upper() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    found = _SIZE.match(written)
    size = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < size <= _LARGEST:
        raise PydanticCustomError("size", "no size")
    return size
