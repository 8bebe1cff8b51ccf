"""What hooks are told of a message and of its turn, as plain dicts with Hermes' names for things; pure."""

from __future__ import annotations

from typing import Any

from hermes_iso.messages import Inbound
from hermes_iso.routing import Route
from hermes_iso.sessions import Turn

JsonObject = dict[str, Any]

TEXT_CHARS = 20_000
"""Characters of a message that `select_agent` is told."""
SHOWN_CHARS = 500
"""Characters of a message or an answer that other events are told, as in Hermes."""


def about_inbound(inbound: Inbound) -> JsonObject:
    """Return what is known of a message before it has an agent. A part that its platform does not have is empty text."""
    chat = inbound.chat
    ids = {
        "account_id": chat.account_id,
        "guild_id": chat.guild_id,
        "team_id": chat.team_id,
        "chat_id": chat.chat_id,
        "parent_chat_id": chat.parent_chat_id,
        "thread_id": chat.thread_id,
        "user_id": inbound.user_id,
        "user_id_alt": inbound.user_id_alt,
    }
    found = {name: value or "" for name, value in ids.items()}
    return {"platform": chat.platform, "chat_type": chat.chat_type, **found, "text": inbound.text[:TEXT_CHARS]}


def about_turn(turn: Turn) -> JsonObject:
    """Return what is known of a turn: whose it is, and where it came from."""
    ids = {"session_id": turn.session_id, "turn_id": turn.turn_id}
    return {**about_chat(turn.inbound, turn.route), **ids, "message": turn.inbound.text[:SHOWN_CHARS]}


def about_chat(inbound: Inbound, route: Route) -> JsonObject:
    """Return whose a chat is, and which."""
    return {
        "agent_id": route.agent,
        "session_key": route.session_key,
        "platform": inbound.chat.platform,
        "chat_type": inbound.chat.chat_type,
        "chat_id": inbound.chat.chat_id,
        "thread_id": inbound.chat.thread_id or "",
        "user_id": inbound.user_id or "",
    }
