"""RouteRule: what one rule of a config asks of a message, and which of two rules counts more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from hermes_iso.messages import Inbound

KEYS: Final = (
    "thread_id",
    "chat_id",
    "peer",
    "user_id",
    "parent_chat_id",
    "guild_id",
    "team_id",
    "chat_type",
    "account_id",
    "platform",
)
"""Everything that a rule may name, what says most about a message first."""

_AS_WRITTEN: Final = (
    "platform",
    "account_id",
    "guild_id",
    "team_id",
    "chat_type",
    "chat_id",
    "parent_chat_id",
    "thread_id",
    "user_id",
    "peer",
)
"""The keys in the order in which people read them, from the platform down to the person."""

Facts: TypeAlias = tuple[Mapping[str, str | None], ...]
"""What a message has for each key, empty or None where it has nothing. A message with a parent chat has a second set, in which
that is the chat: a rule takes the message when it takes one of them."""


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One rule: messages that have all the values it names go to `agent`. None matches anything.

    chat_id: the chat or the parent of its thread. peer: the other person of a direct message. platform and chat_type are in
    lower case. where: its place in the file, as FILE:LINE.
    """

    agent: str
    platform: str | None = None
    chat_id: str | None = None
    thread_id: str | None = None
    account_id: str | None = None
    guild_id: str | None = None
    team_id: str | None = None
    chat_type: str | None = None
    parent_chat_id: str | None = None
    user_id: str | None = None
    peer: str | None = None
    enabled: bool = True
    where: str = ""

    @property
    def match(self) -> dict[str, str]:
        """What it names, by key, what says most first."""
        return {key: value for key in KEYS if (value := getattr(self, key)) is not None}

    @property
    def tier(self) -> str:
        """The most specific key that it names."""
        return next(key for key in KEYS if getattr(self, key) is not None)

    @property
    def specificity(self) -> tuple[bool, ...]:
        """What decides between two rules that both match: the first place where one of them has something and the other not.

        A guild together with a chat type says more than a guild or a team, and the pair comes before the single keys.
        """
        return (
            self.thread_id is not None,
            self.chat_id is not None,
            self.peer is not None or self.user_id is not None,
            self.parent_chat_id is not None,
            self.guild_id is not None and self.chat_type is not None,
            self.guild_id is not None or self.team_id is not None,
            self.chat_type is not None,
            self.account_id is not None,
            self.platform is not None,
        )

    def __str__(self) -> str:
        match = ", ".join(f"{key}={value}" for key in _AS_WRITTEN if (value := getattr(self, key)) is not None)
        return f"{self.where}: {match} -> {self.agent}"

    def mismatch(self, facts: Facts) -> str:
        """Say why this rule does not take a message, or '' when it does."""
        if not self.enabled:
            return "it is off (enabled: false)"
        for key in _AS_WRITTEN:
            wanted = getattr(self, key)
            if wanted is not None and all(wanted != each[key] for each in facts):
                return _difference(key, wanted, facts[0])
        return ""


def in_order(routes: Iterable[RouteRule], bindings: Iterable[RouteRule]) -> tuple[RouteRule, ...]:
    """Return all rules in the order in which they count: the first that matches a message wins.

    `routes` come first, as they stand; then `bindings`, the more specific before the others, equal ones as they stand.
    """
    return (*routes, *sorted(bindings, key=lambda rule: rule.specificity, reverse=True))


def facts_of(inbound: Inbound) -> Facts:
    """Return what rules can know of a message."""
    chat = inbound.chat
    chat_type = chat.chat_type.lower()
    facts = {
        "thread_id": chat.thread_id,
        "chat_id": chat.chat_id,
        "peer": inbound.user_id if chat_type == "dm" else None,
        "user_id": inbound.user_id,
        "parent_chat_id": chat.parent_chat_id,
        "guild_id": chat.guild_id,
        "team_id": chat.team_id,
        "chat_type": chat_type,
        "account_id": chat.account_id,
        "platform": chat.platform.lower(),
    }
    return (facts, {**facts, "chat_id": chat.parent_chat_id}) if chat.parent_chat_id else (facts,)


def _difference(key: str, wanted: str, facts: Mapping[str, str | None]) -> str:
    """Say in which key a message differs from what a rule wants."""
    if found := facts[key]:
        return f"{key} is {found!r}, not {wanted!r}"
    if key == "peer" and facts["user_id"]:
        return f"the message is no direct message; wanted is peer {wanted!r}"
    return f"the message has no {key}; wanted is {wanted!r}"
