"""ItemMessages: what responses and runs have in common: a body of items becomes a message of the inbox, found by its id."""

from __future__ import annotations

from typing import Any

import trio

from hermes_iso.api.auth import Caller, hermes_header
from hermes_iso.api.body import parse_object, read_body
from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import ApiError, Receive, Scope
from hermes_iso.api.inbounds import Asked, inbound_of
from hermes_iso.api.items import ItemsRequest, parse_items
from hermes_iso.api.kept import KeptMessages
from hermes_iso.inbox.values import Row

LARGE_BODY = 256 << 10
"""Bytes from which a body is parsed beside the event loop."""
RESPONSE_PREFIX = "resp_"


class ItemMessages:
    """Responses and runs on the inbox."""

    def __init__(self, directory: Directory) -> None:
        self.kept = KeptMessages(directory)
        self._directory = directory

    async def take(self, scope: Scope, receive: Receive, kind: str) -> tuple[Row, ItemsRequest]:
        """Take a request for good, and return its row and what it asks. Raises ApiError."""
        caller, path_agent = self._who(scope)
        content = await read_body(receive, scope["headers"])
        if len(content) < LARGE_BODY:
            request = _parse(content)
        else:
            request = await trio.to_thread.run_sync(_parse, content)
        history = [*await self._before(scope, caller, path_agent, request), *request.history]
        asked = Asked(request.text, tuple(history), request.instructions, request.model, followed=kind == "run")
        inbound = await inbound_of(self._directory, scope, caller, path_agent, asked=asked)
        about = {
            "model": request.model,
            "instructions": request.raw_instructions,
            "previous": request.previous,
            "metadata": request.metadata,
            "store": request.store,
            "background": request.background,
        }
        return await self.kept.take(scope, inbound, kind, content, about), request

    async def find(self, scope: Scope, kind: str, prefix: str) -> Row:
        """Return the message that the path names. Raises ApiError(404) where it is not this caller's."""
        caller, path_agent = self._who(scope)
        named = scope["path_params"]["id"]
        row = None
        if named.startswith(prefix):
            row = await self.kept.find(caller, path_agent, named.removeprefix(prefix), kind)
        if row is None:
            raise self.missing(scope)
        return row

    def missing(self, scope: Scope) -> ApiError:
        """Return the error of an object that does not exist for the caller."""
        return ApiError(404, f"There is no {scope['path_params']['id'][:80]!r} here.", code="not_found")

    def _who(self, scope: Scope) -> tuple[Caller, str | None]:
        """Return who asks, and the agent of the path."""
        caller: Caller = scope["state"]["caller"]
        return caller, self._directory.agent_of_path(caller, scope["path_params"].get("agent"))

    async def _before(
        self, scope: Scope, caller: Caller, path_agent: str | None, request: ItemsRequest
    ) -> list[dict[str, Any]]:
        """Return the conversation that the request goes on from."""
        if request.previous is None:
            return []
        param = "previous_response_id"
        if hermes_header(scope["headers"], "X-Hermes-Session-Id") is not None:
            text = f"{param} can't go with X-Hermes-Session-Id: each names a conversation."
            raise ApiError(400, text, code="invalid_value", param=param)
        row = await self._previous(caller, path_agent, request.previous)
        if row is None:
            raise ApiError(404, f"There is no response {request.previous[:80]!r} here.", code="not_found", param=param)
        if row.outbound is None or row.outbound.error is not None:
            text = f"The response {request.previous[:80]!r} is not complete: go on from one that is."
            raise ApiError(400, text, code="invalid_value", param=param)
        answer = row.messages or ({"role": "assistant", "content": row.outbound.text},)
        return [*(row.inbound.history or ()), {"role": "user", "content": row.inbound.text}, *answer]

    async def _previous(self, caller: Caller, path_agent: str | None, named: str) -> Row | None:
        """Return an earlier response of this caller."""
        if not named.startswith(RESPONSE_PREFIX):
            return None
        row = await self.kept.find(caller, path_agent, named.removeprefix(RESPONSE_PREFIX), "response")
        return row if row is not None and row.about.request.get("store", True) else None


def _parse(content: bytes) -> ItemsRequest:
    """Return what the bytes of a body ask for."""
    return parse_items(parse_object(content))
