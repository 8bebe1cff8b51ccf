"""POST /v1/responses, GET and DELETE /v1/responses/{id}: turns that are kept, so that one can go on from another."""

from __future__ import annotations

from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import Receive, Scope, Send, send_json
from hermes_iso.api.inbounds import head_headers
from hermes_iso.api.item_messages import ItemMessages
from hermes_iso.api.kept import has_key
from hermes_iso.api.response_object import PREFIX, ResponseStream, WholeResponse, response_object

KIND = "response"


class Responses:
    """The endpoints."""

    def __init__(self, directory: Directory) -> None:
        self._messages = ItemMessages(directory)
        self._kept = self._messages.kept

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a client that hangs up stops its turn, unless it can come back for the answer."""
        row, request = await self._messages.take(scope, receive, KIND)
        headers = head_headers(row.inbound)
        if request.background and not request.stream:
            await send_json(send, response_object(row, row.outbound), headers=headers)
            return
        answer = ResponseStream(send, row, headers) if request.stream else WholeResponse(send, self._kept, row, headers)
        await self._kept.answer(row, answer, receive, stays=request.background or has_key(scope))

    async def one(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # an endpoint's form
        """Tell or delete a response."""
        row = await self._messages.find(scope, KIND, PREFIX)
        if not row.about.request.get("store", True):
            raise self._messages.missing(scope)
        if scope["method"] == "DELETE":
            await self._kept.delete(row)
            await send_json(send, {"id": PREFIX + row.turn_id, "object": "response.deleted", "deleted": True})
        else:
            await send_json(send, response_object(row, row.outbound), headers=head_headers(row.inbound))
