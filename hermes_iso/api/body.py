"""The body of a request: read within bounds of size and time, then parsed as one JSON object.

The JSON parser is one call that nothing else of the process can run beside, so its work is bounded before it begins: by the
number of values, their depth and the length of numbers. What is counted is what lies outside of strings. Quotes that are
escaped are taken out first; then the strings are every second piece between quotes. That takes time in proportion to the body,
whatever it holds. Where a body is no JSON this may count something else than the parser sees, but only behind the place where
the parser stops.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, NoReturn

import trio

from hermes_iso.api.auth import values
from hermes_iso.api.errors import ApiError, ClientGoneError, RawHeaders, Receive

BODY_LIMIT = 10_000_000
"""Most bytes of a body."""
BODY_TIMEOUT = 30.0
"""Seconds for a client to send its body."""
VALUE_LIMIT = 200_000
"""Most values in a body: an empty list costs the reader far more than its two bytes."""
DEPTH_LIMIT = 100
"""Deepest nesting of arrays and objects."""
NUMBER_LENGTH = 64
"""Longest number, in characters: reading a long one takes time in proportion to its square."""
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


async def read_body(receive: Receive, headers: RawHeaders) -> bytes:
    """Read a body that is declared as JSON. Raises ApiError (415, 413, 408), ClientGoneError."""
    types = values(headers, b"content-type")
    if len(types) != 1 or types[0].partition(";")[0].strip().lower() != "application/json":
        text = f"The content-type must be application/json, not {', '.join(types)[:100] or 'absent'}."
        raise ApiError(415, text, code="unsupported_media_type")
    lengths = values(headers, b"content-length")
    if any(length.isdigit() and int(length[:20]) > BODY_LIMIT for length in lengths):
        raise _too_large()
    return await _read(receive)


async def _read(receive: Receive) -> bytes:
    """Read all of a body, and no more than may be."""
    content = bytearray()
    with trio.move_on_after(BODY_TIMEOUT):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            content += message.get("body", b"")
            if len(content) > BODY_LIMIT:
                raise _too_large()
            if not message.get("more_body", False):
                return bytes(content)
    raise ApiError(408, f"The body did not arrive within {BODY_TIMEOUT:g} s.", code="request_timeout")


def parse_object(content: bytes) -> dict[str, Any]:
    """Return the object that a body holds. Raises ApiError(400) that says where it is malformed."""
    _check_shape(content)
    try:
        value = json.loads(content.decode("utf-8"), parse_int=_short_int, parse_float=_short_float, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except ValueError as error:
        raise _malformed(f"is not JSON: {error}"[:200]) from None
    if not isinstance(value, dict):
        raise _malformed("must be a JSON object")
    return value


def _check_shape(content: bytes) -> None:
    """Bound what the parser has to make. Raises ApiError(400)."""
    if sum(map(content.count, (b"[", b"{"))) <= DEPTH_LIMIT and content.count(b",") <= VALUE_LIMIT:
        return
    pieces = content.replace(b"\\\\", b"").replace(b'\\"', b"")
    if pieces.count(b'"') > 4 * VALUE_LIMIT:
        raise _malformed(f"has more than {VALUE_LIMIT} values")
    bare = b"".join(pieces.split(b'"')[::2])
    brackets = bare.translate(None, _NOT_BRACKETS)
    if bare.count(b",") + len(brackets) // 2 > VALUE_LIMIT:
        raise _malformed(f"has more than {VALUE_LIMIT} values")
    if max(itertools.accumulate(map(_STEP.__getitem__, brackets)), default=0) > DEPTH_LIMIT:
        raise _malformed(f"is nested deeper than {DEPTH_LIMIT}")


def _short_int(text: str) -> int:
    """Read an integer of bounded length."""
    if len(text) > NUMBER_LENGTH:
        raise ValueError(f"a number has more than {NUMBER_LENGTH} characters")
    return int(text)


def _short_float(text: str) -> float:
    """Read a number with a fraction or exponent, of bounded length."""
    if len(text) > NUMBER_LENGTH:
        raise ValueError(f"a number has more than {NUMBER_LENGTH} characters")
    return float(text)


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not a JSON value")


def _malformed(what: str) -> ApiError:
    return ApiError(400, f"The body {what}.", code="invalid_json")


def _too_large() -> ApiError:
    return ApiError(413, f"The body is larger than the {BODY_LIMIT} bytes that a request may have.", code="request_too_large")
