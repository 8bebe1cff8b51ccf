"""What the inbox keeps, as frozen values and as the JSON text of them; only the gateway ever wrote that text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from hermes_iso.history import Message, clean_text
from hermes_iso.messages import Attachment, ChatRef, Inbound, Outbound, Usage

State: TypeAlias = Literal["received", "routed", "running", "answered", "delivered", "parked", "refused"]
OPEN: tuple[State, ...] = ("received", "routed", "running", "answered")
"""States of a message that still has something to come."""


@dataclass(frozen=True, slots=True)
class About:
    """What a message is beside a message; `kind` is empty for those of chats.

    kind: run, response or completion for those of the HTTP API; cron for a scheduled job's run; outgoing for what goes to a
    chat and answers nothing. request: what of the request its answer repeats, or of the job that counts when it has run.
    """

    kind: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked_for(self) -> bool:
        """Whether somebody may ask over HTTP what became of it."""
        return self.kind not in ("", "cron", "outgoing")


OUTGOING = About("outgoing")


@dataclass(frozen=True, slots=True)
class Row:
    """One message of the inbox as it is on disk.

    owner: the name of the API key that it came with, empty for chats. lane: messages with the same one are taken in order.
    agent: who takes it, empty before that is decided. tries: how often its turn was begun. tools: those that its turn called.
    sent: the platform's messages that carry its answer. digest: of the request that it was. messages: of a turn's answer, where
    they may be asked for. accepted, changed: Unix times.
    """

    id: int
    turn_id: str
    owner: str
    lane: str
    agent: str
    state: State
    tries: int
    tools: tuple[str, ...]
    sent: tuple[str, ...]
    digest: str
    about: About
    inbound: Inbound
    outbound: Outbound | None
    messages: tuple[Message, ...]
    accepted: float
    changed: float

    @property
    def open(self) -> bool:
        """Whether something is still to come."""
        return self.state in OPEN


def text_of(value: Any) -> str:
    """Return plain data as text that SQLite takes: what is no Unicode is replaced."""
    return clean_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def inbound_text(inbound: Inbound) -> str:
    """Return an inbound as text."""
    return text_of(asdict(inbound))


def outbound_text(outbound: Outbound) -> str:
    """Return an outbound as text."""
    return text_of(asdict(outbound))


def inbound_of(text: str) -> Inbound:
    """Return the inbound of a text that `inbound_text` made."""
    data = json.loads(text)
    data["chat"] = ChatRef(**data["chat"])
    data["history"] = None if data["history"] is None else tuple(data["history"])
    data["via"] = tuple(data["via"])
    data["denied_tools"] = tuple(data.get("denied_tools", ()))
    data["attachments"] = tuple(Attachment(**each) for each in data["attachments"])
    return Inbound(**data)


def outbound_of_text(text: str) -> Outbound | None:
    """Return the outbound of a text that `outbound_text` made, None for the empty one."""
    if not text:
        return None
    data = json.loads(text)
    return Outbound(**{**data, "chat": ChatRef(**data["chat"]), "usage": Usage(**data["usage"])})


def about_text(about: About) -> str:
    """Return it as text."""
    return text_of(asdict(about))


def about_of(text: str) -> About:
    """Return what `about_text` made a text of."""
    return About(**json.loads(text))
