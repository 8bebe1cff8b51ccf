"""POST /v1/chat/completions: one message through the line, whole or streamed; a client that leaves cancels its turn."""

from __future__ import annotations

import time
from collections.abc import Mapping

import trio

from hermes_iso.api.answers import Answer, Head, StreamAnswer, WholeAnswer, take_message
from hermes_iso.api.auth import Caller
from hermes_iso.api.body import parse_object, read_body
from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import Receive, Scope, Send
from hermes_iso.api.inbounds import Asked, head_headers, inbound_of
from hermes_iso.api.kept import KeptMessages, has_key
from hermes_iso.api.request import ChatRequest, parse_chat

LARGE_BODY = 256 << 10
"""Bytes from which a body is parsed beside the event loop."""
PARSERS = 2
"""Large bodies that are parsed at a time: each takes many times its size in memory."""


class ChatCompletions:
    """The endpoint."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._kept = KeptMessages(directory)
        self._parsers = trio.CapacityLimiter(PARSERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ApiError before anything is sent, ClientGoneError."""
        caller: Caller = scope["state"]["caller"]
        path_agent = self._directory.agent_of_path(caller, scope["path_params"].get("agent"))
        content = await read_body(receive, scope["headers"])
        request = await self._parse(content)
        asked = Asked(request.text, request.history, request.instructions, request.model, followed=request.stream)
        inbound = await inbound_of(self._directory, scope, caller, path_agent, asked=asked)
        if not has_key(scope):
            answer = _answer(send, request, head_headers(inbound), created=int(time.time()))
            await take_message(self._directory.handle, inbound, answer, receive)
            return
        row = await self._kept.take(scope, inbound, "completion", content, {})
        answer = _answer(send, request, head_headers(row.inbound), created=int(row.accepted))
        await self._kept.answer(row, answer, receive, stays=True)

    async def _parse(self, content: bytes) -> ChatRequest:
        """Return what a body asks for. Raises ApiError(400)."""
        if len(content) < LARGE_BODY:
            return parse_content(content)
        return await trio.to_thread.run_sync(parse_content, content, limiter=self._parsers)


def _answer(send: Send, request: ChatRequest, headers: Mapping[str, str], *, created: int) -> Answer:
    """Return what writes the answer to a request, under the headers of its message."""
    head = Head(headers["x-hermes-turn-id"], request.model or headers["x-hermes-agent"], headers, created)
    return StreamAnswer(send, head, include_usage=request.include_usage) if request.stream else WholeAnswer(send, head)


def parse_content(content: bytes) -> ChatRequest:
    """Return what the bytes of a body ask for. Raises ApiError(400)."""
    return parse_chat(parse_object(content))
