"""From a request to the Inbound of it: who asks whom, in which chat and session, by the headers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from hermes_iso.api.auth import Caller, hermes_header
from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import Scope
from hermes_iso.history import Message, latest
from hermes_iso.messages import ChatRef, Inbound


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks: the user's text, the messages before it, the caller's system text, and the model's name.

    followed: its client sees what the turn shows while it runs, and so a question as well.
    """

    text: str
    history: tuple[Message, ...]
    instructions: str
    model: str
    followed: bool = False


async def inbound_of(directory: Directory, scope: Scope, caller: Caller, path_agent: str | None, *, asked: Asked) -> Inbound:
    """Return the message for the line, its agent chosen. Raises ApiError."""
    headers = scope["headers"]
    named = hermes_header(headers, "X-Hermes-Session-Id")
    process_key = hermes_header(headers, "X-Hermes-Session-Key")
    session_id = named or f"api_{secrets.token_hex(12)}"
    chat_id = hermes_header(headers, "X-Hermes-Chat-Id") or ""
    chat = ChatRef("api_server", chat_id, thread_id=hermes_header(headers, "X-Hermes-Thread-Id"))
    user_id = hermes_header(headers, "X-Hermes-User-Id")
    turn_id = secrets.token_hex(12)
    by_route = Inbound(chat, asked.text, "", user_id=user_id)
    return Inbound(
        chat=replace(chat, chat_id=chat_id or session_id),
        text=asked.text,
        platform_id=turn_id,
        user_id=user_id,
        agent=await directory.choose(caller, path_agent, by_route, asked.model),
        namespace=caller.name,
        history=None if named else tuple(latest(asked.history)),
        instructions=asked.instructions,
        session_id=session_id,
        process_key=None if named else process_key,
        turn_id=turn_id,
        answerable=named is not None and asked.followed,
    )


def head_headers(inbound: Inbound) -> dict[str, str]:
    """Return the X-Hermes headers of the answer to a message."""
    return {
        "x-hermes-session-id": inbound.session_id or "",
        "x-hermes-agent": inbound.agent or "",
        "x-hermes-turn-id": inbound.turn_id or "",
    }
