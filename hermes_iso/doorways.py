"""Doorways: the addresses at which chat platforms call the gateway, each shared by the accounts that name it, told by path."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import structlog
import trio

from hermes_iso.adapter import Call, CallAnswer, Doorway
from hermes_iso.api.connections import Connections
from hermes_iso.errors import AdapterError, HermesIsoError, UsageError
from hermes_iso.listening import bind

BODY_BYTES = 1 << 20
"""Longest body of a call."""
BODY_TIMEOUT = 10.0
"""Seconds for a body to come."""
Receive: TypeAlias = Callable[[Call], Awaitable[CallAnswer]]


class TooLongError(Exception):
    """A body is longer than is taken, or took too long."""


@dataclass(slots=True)
class _House:
    """One address: what takes the calls at each path, and what ends its listener."""

    paths: dict[str, Receive] = field(default_factory=dict)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    async def serve(self, listener: trio.SocketListener) -> None:
        """Serve until nobody lives here any more."""
        with self.scope:
            await trio.serve_listeners(Connections(self).serve, [listener])

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve one ASGI scope."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = await self._answer(scope, receive)
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        headers = {"content-length": str(len(content)), **answer.headers}
        if answer.body is not None:
            headers["content-type"] = "application/json"
        raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    async def _answer(self, scope: dict[str, Any], receive: Any) -> CallAnswer:
        """Have a call answered by whoever lives at its path; what goes wrong there stays there."""
        path = scope["path"]
        home = max((each for each in self.paths if path == each or path.startswith(f"{each}/")), key=len, default=None)
        if home is None:
            return CallAnswer(404)
        try:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            query = dict(parse_qsl(scope["query_string"].decode("latin-1"), max_num_fields=20))
            call = Call(scope["method"], path[len(home) :], query, headers, await _body(receive))
            return await self.paths[home](call)
        except TooLongError:
            return CallAnswer(413)
        except ValueError:
            return CallAnswer(400)
        except HermesIsoError:
            return CallAnswer(503, headers={"retry-after": "5"})
        except Exception:  # noqa: BLE001  # one call must not end the others
            structlog.get_logger().exception("call_crashed", path=home)
            return CallAnswer(500)


async def _body(receive: Any) -> bytes:
    """Return the body of a call. Raises TooLongError."""
    content = bytearray()
    with trio.move_on_after(BODY_TIMEOUT):
        while True:
            message = await receive()
            content += message.get("body", b"")
            if message["type"] == "http.disconnect" or len(content) > BODY_BYTES:
                raise TooLongError
            if not message.get("more_body", False):
                return bytes(content)
    raise TooLongError


class Doorways:
    """The open doorways of one gateway. Their listeners run in `nursery`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._houses: dict[tuple[str, int], _House] = {}

    @asynccontextmanager
    async def opened(self, doorway: Doorway | None, receive: Receive) -> AsyncIterator[None]:
        """Take the calls of a doorway while the body runs; None is none. Raises AdapterError when it can't be had."""
        if doorway is None:
            yield
            return
        address, path = (doorway.host, doorway.port), doorway.path.rstrip("/")
        house = self._houses.get(address) or self._built(address)
        if path in house.paths:
            raise AdapterError(
                f"Another account is called at {doorway.host}:{doorway.port}{path}: give this one a path of its own."
            )
        house.paths[path] = receive
        try:
            yield
        finally:
            del house.paths[path]
            if not house.paths:
                self._houses.pop(address).scope.cancel()

    def _built(self, address: tuple[str, int]) -> _House:
        """Begin to listen at an address."""
        try:
            listener = trio.SocketListener(trio.socket.from_stdlib_socket(bind(*address)))
        except UsageError as error:
            raise AdapterError(
                str(error).replace("The API", "The adapter").replace("api_server.extra.host", "its host")
            ) from None
        house = self._houses[address] = _House()
        self._nursery.start_soon(house.serve, listener)
        return house
