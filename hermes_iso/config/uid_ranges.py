"""Ranges of host uids as a config writes them: 2000000-2131071, first and last."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import PydanticCustomError

_RANGE = re.compile(r"([1-9][0-9]{0,9})-([1-9][0-9]{0,9})\Z", re.ASCII)
LEAST, LAST = 65_536, 4_294_967_293
"""Below are the uids of the machine's own users; above are two that the kernel keeps for itself."""
FEWEST = 1024


def as_uid_range(value: Any) -> range:
    """Return the range that a text names. Raises PydanticCustomError `wanted`."""
    found = _RANGE.match(value) if isinstance(value, str) else None
    uids = range(int(found[1]), int(found[2]) + 1) if found else range(0)
    if len(uids) < FEWEST or uids.start < LEAST or uids[-1] > LAST:
        wanted = f"FIRST-LAST, at least {FEWEST} uids from {LEAST} on, such as 2000000-2131071"
        raise PydanticCustomError("wanted", "no range of uids", {"wanted": wanted})
    return uids
