"""The frozen values that cross the adapter border: where a message came from, what it says, what goes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChatRef:
    """Where a message came from and where its answer goes. Ids are text, exactly as the platform spells them."""

    platform: str
    chat_id: str
    chat_type: str = "dm"
    thread_id: str | None = None
    parent_chat_id: str | None = None
    guild_id: str | None = None
    team_id: str | None = None
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message: still on the platform, which knows it by `reference`.

    name: as its sender spells it; never a path to anything. media_type: as the platform says. size: in bytes, None when it
    does not say. kind: photo, document, voice, audio, video or another word of the platform.
    """

    kind: str
    reference: str
    name: str = ""
    media_type: str = ""
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Inbound:
    """A message in.

    platform_id: the platform's own id of this update; a repeated one is the same message.
    agent: an agent that the caller names (a path, a flag, a bound key); None lets the routes decide.
    namespace: keeps sessions named by different API keys apart; empty for chats.
    history: earlier messages in OpenAI's shape that the caller keeps itself, so that nothing is stored; None means that the
        gateway keeps the session's history.
    instructions: further system text from the caller.
    session_id: the id that the caller gives this session; None lets the gateway make one for the chat. It is a part of the
        session's identity.
    process_key: a name that the caller gives to what background processes belong to, where that outlives the session.
    turn_id: the turn's id, where the caller had to tell it before the turn; None lets the gateway make one.
    via: the agents through whose turns a message of platform `agent` came, the first one first; empty for all others.
    attachments: files that came with it.
    answerable: whether its sender can be asked something while the turn runs: a question is seen in this chat at once, and the
        next message in it can be the answer.
    clock: a clock began it and nobody waits: messages of people go first, and no text of it is a command.
    model, denied_tools: what a job says of the session that it begins; see `SessionSettings`.
    """

    chat: ChatRef
    text: str
    platform_id: str
    user_id: str | None = None
    user_id_alt: str | None = None
    agent: str | None = None
    namespace: str = ""
    history: tuple[dict[str, Any], ...] | None = None
    instructions: str = ""
    session_id: str | None = None
    process_key: str | None = None
    turn_id: str | None = None
    via: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    answerable: bool = True
    clock: bool = False
    model: str = ""
    denied_tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a turn cost at its model provider, summed over its calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Outbound:
    """A message out: the answer, or one sentence that says why there is none (`error` is then its kind)."""

    chat: ChatRef
    text: str
    turn_id: str
    agent: str
    session_id: str
    usage: Usage = Usage()
    error: str | None = None
    retry_after: float | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The platform's proof that an outbound arrived: the id that it gave the message."""

    outbound: Outbound
    platform_id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Something of a running turn that an adapter may show before the answer: `kind` is text, tool_called or tool_returned.

    One of kind `question` must be shown, and at once: the turn waits for a person's answer. Its `name` is clarify or approval.
    """

    kind: str
    text: str
    name: str = ""
