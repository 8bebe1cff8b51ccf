"""The body of a request: read within bounds of size and time, then as one JSON object (see `hermes_iso.strict_json`)."""

from __future__ import annotations

from typing import Any

import trio

from hermes_iso.api.auth import values
from hermes_iso.api.errors import ApiError, ClientGoneError, RawHeaders, Receive
from hermes_iso.strict_json import JsonError, read_object

BODY_LIMIT = 10_000_000
"""Most bytes of a body."""
BODY_TIMEOUT = 30.0
"""Seconds for a client to send its body."""


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
    try:
        return read_object(content)
    except JsonError as error:
        raise ApiError(400, f"The body {error}.", code="invalid_json") from None


def _too_large() -> ApiError:
    return ApiError(413, f"The body is larger than the {BODY_LIMIT} bytes that a request may have.", code="request_too_large")
