"""read_object: JSON of somebody who is not trusted, read so that it costs little and can't be read in two ways.

The JSON parser is one call that nothing else of the process can run beside, so its work is bounded before it begins: by the
number of values and their depth. What is counted is what lies outside of strings. Quotes that are escaped are taken out first;
then the strings are every second piece between quotes. That takes time in proportion to the text, whatever it holds. Where a
text is no JSON this may count something else than the parser sees, but only behind the place where the parser stops.

A key twice, a number that is none or is too large for a reader elsewhere: another reader may take it in another way than this
one, so it is refused.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import Any, NoReturn

VALUE_LIMIT = 200_000
"""Most values: an empty list costs the reader far more than its two bytes."""
DEPTH_LIMIT = 100
"""Deepest nesting of arrays and objects."""
_NUMBER_LENGTH = 64
"""Longest number, in characters: reading a long one takes time in proportion to its square."""
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


class JsonError(ValueError):
    """A text is not what it should be; says what it is or has, to be put behind the text's name."""


def read_object(content: bytes) -> dict[str, Any]:
    """Return the object in a text. The caller bounds its bytes. Raises JsonError that says where it is malformed."""
    _check_shape(content)
    try:
        value = _DECODER.decode(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise JsonError(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise JsonError(f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    if not isinstance(value, dict):
        raise JsonError("is not a JSON object")
    return value


def _check_shape(content: bytes) -> None:
    """Bound what the parser has to make. Raises JsonError."""
    if sum(map(content.count, (b"[", b"{"))) <= DEPTH_LIMIT and content.count(b",") <= VALUE_LIMIT:
        return
    pieces = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    if pieces.count(b'"') > 4 * VALUE_LIMIT:
        raise JsonError(f"has more than {VALUE_LIMIT} values")
    bare = b"".join(pieces.split(b'"')[::2])
    brackets = bare.translate(None, _NOT_BRACKETS)
    if bare.count(b",") + len(brackets) // 2 > VALUE_LIMIT:
        raise JsonError(f"has more than {VALUE_LIMIT} values")
    if max(itertools.accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH_LIMIT:
        raise JsonError(f"is nested deeper than {DEPTH_LIMIT}")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of these members."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise JsonError("has a key that stands twice in one object")
    return value


def _small_int(text: str) -> int:
    """Return an integer of at most 64 bits."""
    if len(text) > _NUMBER_LENGTH or not -(1 << 63) <= (number := int(text)) < 1 << 64:
        raise JsonError("has an integer of more than 64 bits")
    return number


def _small_float(text: str) -> float:
    """Return a number with a fraction or exponent that a double holds."""
    if len(text) > _NUMBER_LENGTH:
        raise JsonError(f"has a number of more than {_NUMBER_LENGTH} characters")
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("has a number that is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise JsonError(f"is not JSON: {name} is no number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_int=_small_int, parse_float=_small_float, parse_constant=_no_constant
)
