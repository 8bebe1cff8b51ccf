"""The body of a request: read within bounds of size and time, then parsed as one JSON object."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import trio

from hermes_iso.api.auth import values
from hermes_iso.api.errors import ApiError, ClientGoneError, RawHeaders, Receive

BODY_LIMIT = 10_000_000
"""Most bytes of a body."""
BODY_TIMEOUT = 30.0
"""Seconds for a client to send its body."""
NODE_LIMIT = 200_000
"""Most arrays and objects in a body: an empty list costs the reader far more than its two bytes."""
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


async def read_json(receive: Receive, headers: RawHeaders) -> dict[str, Any]:
    """Read a body and return its object. Raises ApiError (415, 413, 408, 400), ClientGoneError."""
    types = values(headers, b"content-type")
    if len(types) != 1 or types[0].partition(";")[0].strip().lower() != "application/json":
        text = f"The content-type must be application/json, not {', '.join(types)[:100] or 'absent'}."
        raise ApiError(415, text, code="unsupported_media_type")
    lengths = values(headers, b"content-length")
    if any(length.isdigit() and int(length[:20]) > BODY_LIMIT for length in lengths):
        raise _too_large()
    return parse_object(await _read(receive))


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
    if content.count(b"[") + content.count(b"{") > NODE_LIMIT:
        bare = _STRINGS.sub(b"", content)
        if bare.count(b"[") + bare.count(b"{") > NODE_LIMIT:
            raise _malformed(f"has more than {NODE_LIMIT} arrays and objects")
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _malformed(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _malformed(f"is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise _malformed("is nested too deeply") from None
    except ValueError as error:
        raise _malformed(f"is not JSON: {error}"[:200]) from None
    if not isinstance(value, dict):
        raise _malformed("must be a JSON object")
    return value


def _no_constant(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which are not JSON."""
    raise ValueError(f"{name} is not a JSON value")


def _malformed(what: str) -> ApiError:
    return ApiError(400, f"The body {what}.", code="invalid_json")


def _too_large() -> ApiError:
    return ApiError(413, f"The body is larger than the {BODY_LIMIT} bytes that a request may have.", code="request_too_large")
