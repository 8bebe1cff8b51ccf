"""Router: from an inbound to the agent, session and chat of its answer; pure, and `explain` is the same code.

The session key is the text that Hermes makes, byte for byte, because people, hooks and engines see it. It does not escape
the ids it joins, so two chats can have one text: chat "a" with thread "b" reads like chat "a:b". WhatsApp ids even lose their
domain in it. A session's identity is therefore `SessionId`, the tuple of the parts as the platform spells them; the text is
never compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hermes_iso.config.schema import Config
from hermes_iso.errors import RouteRejectedError
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.route_index import RouteIndex
from hermes_iso.rules import Facts, RouteRule, facts_of, in_order

PEER_SCOPE = "dm per peer"
MAIN_SCOPE = "dm of all"
"""What stands for the chat type of sessions that hold several direct chats: no platform has such types."""


@dataclass(frozen=True, slots=True)
class SessionId:
    """The identity of a session; the empty text stands for a part that this chat does not have.

    namespace: the name of the API key whose sessions these are; empty for chats.
    chat_type: the chat's, or PEER_SCOPE or MAIN_SCOPE where `gateway.dm_scope` puts direct chats together.
    user_id: set only where members of a chat are kept apart, and in a session of one peer.
    account_id: the gateway's account on the platform; a person's chats with two bots can have one and the same id.
    """

    agent: str
    namespace: str
    platform: str
    chat_type: str
    chat_id: str
    thread_id: str
    user_id: str
    account_id: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """The answer to "which agent, which session, reply where". `reply_to` is carried from here on, never looked up again."""

    agent: str
    session: SessionId
    session_key: str
    reply_to: ChatRef


@dataclass(frozen=True, slots=True)
class Decision:
    """Who gets a message and what decided it. `agent` is None when nobody does, `place` where the rule stands that won.

    tier: the most specific key of that rule, else "agent" (the caller names one), "default" or "rejected".
    """

    agent: str | None
    tier: str
    place: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a message goes where it goes. `route` is None when it is rejected; `lost` holds (rule, reason) as rules count.

    left_out: how many more rules lost than `lost` holds.
    """

    route: Route | None
    rule: str
    tier: str
    lost: tuple[tuple[str, str], ...]
    left_out: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the object that `route explain --json` prints."""
        return {
            "agent": self.route.agent if self.route else None,
            "session_key": self.route.session_key if self.route else None,
            "rule": self.rule,
            "tier": self.tier,
            "rejected": [{"rule": rule, "reason": reason} for rule, reason in self.lost],
            **({"rejected_left_out": self.left_out} if self.left_out else {}),
        }


class Router:
    """Finds the agent and session of each inbound: a named agent, else the first rule that matches, else the default agent."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rules = in_order(config.routes, config.bindings)
        self._index = RouteIndex(self._rules)

    def decide(self, inbound: Inbound) -> Decision:
        """Return who gets `inbound`, served or not, in a time that does not grow with the number of rules."""
        if inbound.agent is not None:
            return Decision(inbound.agent, "agent")
        place = self._index.first(facts_of(inbound))
        if place is not None:
            return Decision(self._rules[place].agent, self._rules[place].tier, place)
        if self._config.unmatched == "reject":
            return Decision(None, "rejected")
        return Decision(self._config.default_agent, "default")

    def route(self, inbound: Inbound) -> Route:
        """Return where `inbound` goes. Raises RouteRejectedError when nothing takes it or the agent is not served."""
        decision = self.decide(inbound)
        agent = self._config.agents.get(decision.agent or "")
        if agent is None:
            raise RouteRejectedError(self._refusal(decision, inbound.chat))
        session = self._session(agent.id, inbound)
        return Route(agent.id, session, session_key(agent.ns, session), inbound.chat)

    def explain(self, inbound: Inbound, most: int | None = None) -> Explanation:
        """Return where `inbound` goes, by which rule, and why each other rule lost.

        most: how many rules that lost are told, those that match as well before all others; None tells every one.
        """
        decision = self.decide(inbound)
        lost, left_out = ((), 0) if decision.tier == "agent" else self._lost(facts_of(inbound), decision.place, most)
        try:
            route = self.route(inbound)
        except RouteRejectedError as error:
            return Explanation(None, str(error), "rejected", lost, left_out)
        return Explanation(route, self._reason(decision), decision.tier, lost, left_out)

    def _reason(self, decision: Decision) -> str:
        """Say what gives a message to its agent."""
        if decision.place is not None:
            return str(self._rules[decision.place])
        return "named by the caller" if decision.tier == "agent" else f"default_agent: {decision.agent}"

    def _refusal(self, decision: Decision, chat: ChatRef) -> str:
        """Say why nobody answers."""
        if decision.agent is None:
            return f"no route takes {_describe(chat)}, and gateway.unmatched is reject"
        if decision.agent in self._config.not_served:
            return f"agent {decision.agent} is not served: {self._config.not_served[decision.agent]}"
        served = ", ".join(self._config.agents) or "none"
        return f"there is no agent {decision.agent!r}; served are: {served}"

    def _lost(self, facts: Facts, winner: int | None, most: int | None) -> tuple[tuple[tuple[str, str], ...], int]:
        """Return the rules that lost, each with the reason, and how many more there are."""
        total = len(self._rules) - (winner is not None)
        places = self._first_losers(facts, winner, min(total, most)) if most is not None else range(len(self._rules))
        lost = tuple((str(self._rules[place]), self._why(place, facts, winner)) for place in places if place != winner)
        return lost, total - len(lost)

    def _first_losers(self, facts: Facts, winner: int | None, count: int) -> list[int]:
        """Return where `count` rules that lost stand: those that match as well first, then the first of the others."""
        chosen = [place for place in self._index.matching(facts) if place != winner][:count]
        taken = {*chosen, winner}
        others = (place for place in range(len(self._rules)) if place not in taken)
        return sorted([*chosen, *(place for place, _ in zip(others, range(count - len(chosen)), strict=False))])

    def _why(self, place: int, facts: Facts, winner: int | None) -> str:
        """Say why the rule at `place` lost."""
        rule = self._rules[place]
        reason = rule.mismatch(facts)
        if reason or winner is None:
            return reason
        return _precedence(rule, self._rules[winner], routes=len(self._config.routes), places=(place, winner))

    def _session(self, agent: str, inbound: Inbound) -> SessionId:
        chat = inbound.chat
        platform, thread = chat.platform.lower(), chat.thread_id or ""
        user = inbound.user_id_alt or inbound.user_id or ""
        if chat.chat_type == "dm":
            scope = "per-chat" if inbound.via else self._config.dm_scope  # agents and people never meet in one session
            if scope == "main":
                return SessionId(agent, inbound.namespace, "", MAIN_SCOPE, "", "", "")
            if scope == "per-peer" and user:
                return SessionId(agent, inbound.namespace, platform, PEER_SCOPE, "", "", user)
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
            account_id=chat.account_id or "",
        )


def session_key(ns: str, session: SessionId) -> str:
    """Return the text of a session as Hermes writes it; two sessions may share a text, so it identifies nothing."""
    chat, user = session.chat_id, session.user_id
    if session.platform == "whatsapp":
        chat = _whatsapp_number(chat) if session.chat_type == "dm" else chat
        user = _whatsapp_number(user) or user
    if session.chat_type == MAIN_SCOPE:
        return f"agent:{ns}:main"
    if session.chat_type == PEER_SCOPE:
        return f"agent:{ns}:dm:{user}"
    ids = (chat, session.thread_id, user)
    if session.chat_type == "dm":
        ids = (chat or user, session.thread_id, "")
    return ":".join(("agent", ns, session.platform, session.chat_type, *filter(None, ids)))


def _precedence(loser: RouteRule, winner: RouteRule, *, routes: int, places: tuple[int, int]) -> str:
    """Say why the second of two rules that both match counts. `places` is where they stand, the first `routes` being routes."""
    if places[0] < routes:
        return f"an earlier rule matches: {winner}"
    if places[1] < routes:
        return f"routes come before bindings: {winner}"
    if loser.specificity == winner.specificity:
        return f"a rule that is as specific comes earlier: {winner}"
    return f"a more specific rule matches: {winner}"


def _describe(chat: ChatRef) -> str:
    thread = f", thread {chat.thread_id!r}" if chat.thread_id else ""
    return f"a message of {chat.platform or 'an unnamed platform'}, chat {chat.chat_id!r}{thread}"


def _whatsapp_number(identifier: str) -> str:
    """Return the number in a WhatsApp JID: Hermes' keys hold it without device and domain."""
    return identifier.strip().replace("+", "", 1).split(":", 1)[0].split("@", 1)[0]
