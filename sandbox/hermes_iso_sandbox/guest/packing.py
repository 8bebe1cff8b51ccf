"""Take up the free room between what a template keeps, so that what its forks allocate lies together.

Importing much and forgetting some of it leaves holes everywhere. A fork would put its own small objects into these, and each
would cost it the copy of a whole page. What fills them here is never written to again, so it costs no fork anything, and the
template only room that it held already. Where memory is laid out otherwise than CPython and glibc do it, little is filled.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

HEADER = b"".__sizeof__()
POOL_BITS = 14
"""CPython gives small objects of one size pools of 16 KiB."""
SMALL = range(48, 513, 16)
"""Their sizes in bytes, as far as a bytes object can have them."""
LARGE = (*(1 << bits for bits in range(16, 10, -1)), *range(1040, 544, -16))
"""Sizes that the C library serves, from its heap."""
MOST = 64 << 20
"""Bytes to fill at most."""


def fill_holes() -> list[bytes]:
    """Return what fills them, to be kept."""
    return _fill_pools() + _fill_heap()


def _fill_pools() -> list[bytes]:
    """Fill the pools of each size until one is given that was empty."""
    kept: list[bytes] = []
    for size in SMALL:
        whole = ((1 << POOL_BITS) - 48) // size
        pool, inside = 0, list[bytes]()
        for _ in range(MOST // len(SMALL) // size):
            block = bytes(size - HEADER)
            if id(block) >> POOL_BITS != pool:
                kept += inside
                pool, inside = id(block) >> POOL_BITS, []
            inside.append(block)
            if len(inside) >= whole:
                break
    return kept


def _fill_heap() -> list[bytes]:
    """Fill the C library's heap up to where it ends."""
    kept: list[bytes] = []
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # from here on it ends with what is in use
    end = _heap_end()
    for size in LARGE:
        for _ in range(MOST // len(LARGE) // size):
            block = bytes(size - HEADER)
            if id(block) >= end:
                break
            kept.append(block)
    return kept


def _heap_end() -> int:
    """Return the address at which the heap ends; 0 where there is none."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return next((int(line.split()[0].partition("-")[2], 16) for line in maps if line.rstrip().endswith("[heap]")), 0)
