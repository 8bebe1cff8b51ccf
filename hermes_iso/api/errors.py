"""ApiError: a failure as HTTP tells it, in OpenAI's shape, and which status each failed turn has."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

from hermes_iso.messages import Outbound

Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Scope: TypeAlias = MutableMapping[str, Any]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

TURN_STATUS: Mapping[str, int] = {
    "too_long": 400,
    "no_tools": 403,
    "interrupted": 409,
    "rejected": 404,
    "refused": 422,
    "budget": 422,
    "rate_limited": 429,
    "busy": 429,
    "internal": 500,
    "restarted": 500,
    "parked": 500,
    "limit": 500,
    "guest_died": 500,
    "guest_error": 500,
    "protocol": 500,
    "flood": 500,
    "unreachable": 502,
    "cut": 502,
    "bad_response": 502,
    "auth": 502,
    "config": 503,
    "draining": 503,
    "timeout": 504,
}
"""The status of each kind of failed turn."""
_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
MAY_TRY_AGAIN = frozenset({"busy", "rate_limited", "draining"})
"""Kinds where nothing was done yet, so that a client may repeat by itself."""


class ApiError(Exception):
    """A request that fails. `code` is a word for programs, `param` the field that is wrong; `retry_after` is seconds."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The error in OpenAI's shape."""
        kind = _TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "code": self.code, "param": self.param}}

    def response_headers(self) -> dict[str, str]:
        """Return its headers; `x-should-retry` keeps OpenAI's clients from repeating a turn that may have done something."""
        found = dict(self.headers)
        if self.retry_after is not None:
            found["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        if self.status in {408, 409, 429} or self.status >= 500:
            found["x-should-retry"] = "true" if self.code in MAY_TRY_AGAIN else "false"
        return found


class ClientGoneError(Exception):
    """The client hung up: nobody is left to answer."""


def turn_error(outbound: Outbound) -> ApiError:
    """Return the error of a turn that failed."""
    kind = outbound.error or "internal"
    retry_after = outbound.retry_after
    if retry_after is None and kind in MAY_TRY_AGAIN:
        retry_after = 5.0
    return ApiError(TURN_STATUS.get(kind, 500), outbound.text, code=kind, retry_after=retry_after)


async def send_json(send: Send, value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
    """Send a whole JSON response."""
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    raw = raw_headers({**(headers or {}), "content-type": "application/json", "content-length": str(len(content))})
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def send_error(send: Send, error: ApiError, headers: Mapping[str, str] | None = None) -> None:
    """Send an error as a whole response."""
    await send_json(send, error.body, status=error.status, headers={**(headers or {}), **error.response_headers()})


def raw_headers(headers: Mapping[str, str]) -> RawHeaders:
    """Return headers as ASGI wants them."""
    return [(name.encode("ascii"), value.encode("utf-8", "replace")) for name, value in headers.items()]
