"""Reply: the answer to one request at the model host: passed on, made here, or an error in the shape of its dialect."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso.broker.egress.door import LocalExchange
from hermes_iso.broker.model_host.endpoints import Dialect, error_body

Headers = list[tuple[bytes, bytes]]
_JSON: Headers = [(b"content-type", b"application/json")]
_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
}


class Reply:
    """Writes the answer; `started` once any of it was sent."""

    def __init__(self, exchange: LocalExchange, dialect: Dialect) -> None:
        self.started = False
        self._exchange = exchange
        self._dialect: Dialect = dialect

    async def start(self, status: int, headers: Headers, data: bytes = b"") -> None:
        """Send the head, and with it the first bytes of the body if they are there."""
        self.started = True
        await self._exchange.start(status, headers, data)

    async def send(self, data: bytes) -> None:
        """Send bytes of the body."""
        await self._exchange.send(data)

    async def json(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """Send a whole JSON document."""
        length = [(b"content-length", str(len(body)).encode())]
        others = [each for each in headers or () if each[0] not in (b"content-type", b"content-length")]
        await self.start(status, [*_JSON, *length, *others], body)

    async def events(self, data: bytes) -> None:
        """Send a whole stream of events."""
        await self.start(200, [(b"content-type", b"text/event-stream; charset=utf-8")], data)

    async def error(
        self, status: int, sentence: str, *, parts: Mapping[str, str] | None = None, headers: Headers | None = None
    ) -> None:
        """Send an error of one sentence. One that the gateway found is final: `headers` None tells clients not to repeat it."""
        said = dict(parts or {})
        kind = said.pop("type", _TYPES.get(status, "api_error"))
        body = error_body(self._dialect, kind, sentence, said)
        await self.json(status, body, [(b"x-should-retry", b"false")] if headers is None else headers)
