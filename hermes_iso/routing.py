"""Router: from an inbound to the agent, session and chat of its answer; pure, and `explain` is the same code.

The session key is the text that Hermes makes, byte for byte, because people, hooks and engines see it. It does not escape
the ids it joins, so two chats can have one text: chat "a" with thread "b" reads like chat "a:b". WhatsApp ids even lose their
domain in it. A session's identity is therefore `SessionId`, the tuple of the parts as the platform spells them; the text is
never compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hermes_iso.config.schema import Config, RouteRule
from hermes_iso.errors import RouteRejectedError
from hermes_iso.messages import ChatRef, Inbound


@dataclass(frozen=True, slots=True)
class SessionId:
    """The identity of a session; the empty text stands for a part that this chat does not have.

    namespace: the name of the API key whose sessions these are; empty for chats.
    user_id: set only where Hermes keeps the members of a chat apart.
    """

    agent: str
    namespace: str
    platform: str
    chat_type: str
    chat_id: str
    thread_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Route:
    """The answer to "which agent, which session, reply where". `reply_to` is carried from here on, never looked up again."""

    agent: str
    session: SessionId
    session_key: str
    reply_to: ChatRef


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a message goes where it goes. `route` is None when it is rejected; `lost` holds (rule, reason) in file order."""

    route: Route | None
    rule: str
    tier: str
    lost: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object that `route explain --json` prints."""
        return {
            "agent": self.route.agent if self.route else None,
            "session_key": self.route.session_key if self.route else None,
            "rule": self.rule,
            "tier": self.tier,
            "rejected": [{"rule": rule, "reason": reason} for rule, reason in self.lost],
        }


class Router:
    """Finds the agent and session of each inbound: a named agent, else the first matching rule, else the default agent."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def route(self, inbound: Inbound) -> Route:
        """Return where `inbound` goes. Raises RouteRejectedError when nothing takes it or the agent is not served."""
        explanation = self.explain(inbound)
        if explanation.route is None:
            raise RouteRejectedError(explanation.rule)
        return explanation.route

    def explain(self, inbound: Inbound) -> Explanation:
        """Return where `inbound` goes, by which rule, and why each earlier or later rule lost."""
        if inbound.agent is not None:
            return self._explained(inbound, inbound.agent, rule="named by the caller", tier="agent", lost=())
        winner: RouteRule | None = None
        lost: list[tuple[str, str]] = []
        for rule in self._config.routes:
            reason = _mismatch(rule, inbound.chat)
            if reason is None and winner is None:
                winner = rule
            else:
                lost.append((str(rule), reason or f"an earlier rule matches: {winner}"))
        if winner is not None:
            return self._explained(inbound, winner.agent, rule=str(winner), tier=_tier(winner), lost=tuple(lost))
        if self._config.unmatched == "reject":
            sentence = f"no route takes {_describe(inbound.chat)}, and gateway.unmatched is reject"
            return Explanation(None, sentence, "rejected", tuple(lost))
        default = self._config.default_agent
        return self._explained(inbound, default, rule=f"default_agent: {default}", tier="default", lost=tuple(lost))

    def _explained(
        self, inbound: Inbound, agent: str, *, rule: str, tier: str, lost: tuple[tuple[str, str], ...]
    ) -> Explanation:
        if agent not in self._config.agents:
            return Explanation(None, self._refusal(agent), "rejected", lost)
        session = self._session(agent, inbound)
        key = session_key(self._config.agents[agent].ns, session)
        return Explanation(Route(agent, session, key, inbound.chat), rule, tier, lost)

    def _refusal(self, agent: str) -> str:
        if agent in self._config.not_served:
            return f"agent {agent} is not served: {self._config.not_served[agent]}"
        served = ", ".join(self._config.agents) or "none"
        return f"there is no agent {agent!r}; served are: {served}"

    def _session(self, agent: str, inbound: Inbound) -> SessionId:
        chat = inbound.chat
        platform, thread = chat.platform.lower(), chat.thread_id or ""
        user = inbound.user_id_alt or inbound.user_id or ""
        if chat.chat_type == "dm":
            apart = not chat.chat_id
        elif thread:
            apart = self._config.group_sessions_per_user and self._config.thread_sessions_per_user
        else:
            apart = self._config.group_sessions_per_user
        return SessionId(
            agent=agent,
            namespace=inbound.namespace,
            platform=platform,
            chat_type=chat.chat_type,
            chat_id=chat.chat_id,
            thread_id=thread,
            user_id=user if apart else "",
        )


def session_key(ns: str, session: SessionId) -> str:
    """Return the text of a session as Hermes writes it; two sessions may share a text, so it identifies nothing."""
    chat, user = session.chat_id, session.user_id
    if session.platform == "whatsapp":
        chat = _whatsapp_number(chat) if session.chat_type == "dm" else chat
        user = _whatsapp_number(user) or user
    ids = (chat, session.thread_id, user)
    if session.chat_type == "dm":
        ids = (chat or user, session.thread_id, "")
    return ":".join(("agent", ns, session.platform, session.chat_type, *filter(None, ids)))


def _keys(rule: RouteRule, chat: ChatRef) -> Iterator[tuple[str, str | None, tuple[str | None, ...]]]:
    """Yield each key of a match as (name, what the rule wants, what would satisfy it)."""
    yield "platform", rule.platform, (chat.platform.lower(),)
    yield "chat_id", rule.chat_id, (chat.chat_id, chat.parent_chat_id)
    yield "thread_id", rule.thread_id, (chat.thread_id,)


def _mismatch(rule: RouteRule, chat: ChatRef) -> str | None:
    """Return why `rule` does not take a message of `chat`, or None when it does."""
    if not rule.enabled:
        return "it is off (enabled: false)"
    for name, wanted, found in _keys(rule, chat):
        if wanted is not None and wanted not in found:
            return f"{name} is {found[0]!r}, not {wanted!r}" if found[0] else f"the message has no {name}; wanted is {wanted!r}"
    return None


def _tier(rule: RouteRule) -> str:
    """Return the most specific key that the rule names."""
    for name in ("thread_id", "chat_id", "platform"):
        if getattr(rule, name) is not None:
            return name
    raise AssertionError("a rule without a key is refused when the config is read")


def _describe(chat: ChatRef) -> str:
    thread = f", thread {chat.thread_id}" if chat.thread_id else ""
    return f"a message of {chat.platform or 'an unnamed platform'}, chat {chat.chat_id!r}{thread}"


def _whatsapp_number(identifier: str) -> str:
    """Return the number in a WhatsApp JID: Hermes' keys hold it without device and domain."""
    return identifier.strip().replace("+", "", 1).split(":", 1)[0].split("@", 1)[0]
