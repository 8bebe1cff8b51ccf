"""POST /v1/chat/completions: one message through the line, whole or streamed; a client that leaves cancels its turn."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

import trio

from hermes_iso.api.answers import Answer, Head, StreamAnswer, WholeAnswer, take_message
from hermes_iso.api.auth import Caller, hermes_header
from hermes_iso.api.body import parse_object, read_body
from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import Receive, Scope, Send
from hermes_iso.api.request import ChatRequest, parse_chat
from hermes_iso.messages import ChatRef, Inbound

LARGE_BODY = 256 << 10
"""Bytes from which a body is parsed beside the event loop."""
PARSERS = 2
"""Large bodies that are parsed at a time: each takes many times its size in memory."""


class ChatCompletions:
    """The endpoint."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._parsers = trio.CapacityLimiter(PARSERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises ApiError before anything is sent, ClientGoneError."""
        caller: Caller = scope["state"]["caller"]
        path_agent = self._directory.agent_of_path(caller, scope["path_params"].get("agent"))
        request = await self._parse(await read_body(receive, scope["headers"]))
        inbound = await self._inbound(scope, caller, path_agent, request)
        assert inbound.agent is not None
        head = Head(
            turn_id=inbound.turn_id or "",
            model=request.model or inbound.agent,
            headers={
                "x-hermes-session-id": inbound.session_id or "",
                "x-hermes-agent": inbound.agent,
                "x-hermes-turn-id": inbound.turn_id or "",
            },
            created=int(time.time()),
        )
        answer: Answer = WholeAnswer(send, head)
        if request.stream:
            answer = StreamAnswer(send, head, include_usage=request.include_usage)
        await take_message(self._directory.handle, inbound, answer, receive)

    async def _parse(self, content: bytes) -> ChatRequest:
        """Return what a body asks for. Raises ApiError(400)."""
        if len(content) < LARGE_BODY:
            return parse_content(content)
        return await trio.to_thread.run_sync(parse_content, content, limiter=self._parsers)

    async def _inbound(self, scope: Scope, caller: Caller, path_agent: str | None, request: ChatRequest) -> Inbound:
        """Return the message for the line, its agent chosen."""
        headers = scope["headers"]
        named = hermes_header(headers, "X-Hermes-Session-Id")
        process_key = hermes_header(headers, "X-Hermes-Session-Key")
        session_id = named or f"api_{secrets.token_hex(12)}"
        chat_id = hermes_header(headers, "X-Hermes-Chat-Id") or ""
        chat = ChatRef("api_server", chat_id, thread_id=hermes_header(headers, "X-Hermes-Thread-Id"))
        user_id = hermes_header(headers, "X-Hermes-User-Id")
        asked = Inbound(chat, request.text, "", user_id=user_id)
        turn_id = secrets.token_hex(12)
        return Inbound(
            chat=replace(chat, chat_id=chat_id or session_id),
            text=request.text,
            platform_id=turn_id,
            user_id=user_id,
            agent=await self._directory.choose(caller, path_agent, asked, request.model),
            namespace=caller.name,
            history=None if named else request.history,
            instructions=request.instructions,
            session_id=session_id,
            process_key=None if named else process_key,
            turn_id=turn_id,
            answerable=named is not None and request.stream,
        )


def parse_content(content: bytes) -> ChatRequest:
    """Return what the bytes of a body ask for. Raises ApiError(400)."""
    return parse_chat(parse_object(content))
