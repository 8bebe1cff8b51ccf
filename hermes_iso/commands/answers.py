"""Answers to the question that a turn waits with in a chat: the commands approve and deny, and plain messages.

Whoever the turn works for may answer, and an admin of the agent; nobody else, however well they know the words.
"""

from __future__ import annotations

from hermes_iso.asks import Asks, Pending, place_of
from hermes_iso.commands.access import is_admin, may_use, sender_ids
from hermes_iso.commands.command import Call, Command, Reply
from hermes_iso.config.schema import Config
from hermes_iso.messages import Inbound
from hermes_iso.outcomes import shown
from hermes_iso.questions import REASON_CHARS, Answer, Decision, read_clarification, read_decision
from hermes_iso.routing import Route

NOTHING_WAITS = "Nothing waits for an answer in this chat."
NO_APPROVAL = "What waits here is a question and no approval: answer it with a message."
NOT_ANSWERED = "The person who was asked does not want to answer."
NOT_YOURS = "That is for the person whose turn asked, or for an admin of agent {agent}, to answer."
_USAGE = "Usage: /approve [once | session | always | list | forget KIND]."
_WORDS: dict[str, Decision] = {
    **dict.fromkeys(("", "once"), "once"),
    **dict.fromkeys(("session", "ses"), "session"),
    **dict.fromkeys(("always", "permanent", "permanently"), "always"),
}


async def take_answer(inbound: Inbound, route: Route, config: Config, asks: Asks) -> str | None:
    """Take a plain message as the answer that a turn waits for, and return what is said to that; None when it is no answer.

    An admin who has another session in the chat says it by a command: a plain message of theirs is for that session.
    """
    pending = asks.shown_in(place_of(route.agent, inbound))
    if pending is None or not inbound.text.strip():
        return None
    agent = config.agents[route.agent]
    same_session = pending.work.turn.route.session == route.session
    if not (_own(pending, inbound) or (same_session and is_admin(config, agent, inbound))):
        return None
    if pending.question.kind == "clarify":
        asks.settle(pending, Answer(given=True, text=read_clarification(pending.question, inbound.text)))
        return "The agent has your answer."
    decision = read_decision(inbound.text)
    if decision is None or not may_use("deny" if decision == "deny" else "approve", config, agent, inbound):
        return None
    return await _decide(asks, pending, decision)


def _own(pending: Pending, inbound: Inbound) -> bool:
    """Say whether a message comes from the person whose turn asks; where nobody is named, only a direct chat has one person."""
    asker, sender = set(sender_ids(pending.work.turn.inbound)), set(sender_ids(inbound))
    return bool(asker & sender) or (not asker and not sender and inbound.chat.chat_type == "dm")


async def _decide(asks: Asks, pending: Pending, decision: Decision, reason: str = "") -> str:
    """Settle an approval and say what that means; one for longer is kept first."""
    question, work = pending.question, pending.work
    if decision == "always" and not question.permanent:
        decision = "session"
    if decision == "session" and work.turn.row is None:
        decision = "once"
    kinds = ", ".join(f"“{shown(pattern)}”" for pattern in question.patterns)
    if decision in ("session", "always") and kinds:
        await asks.kept.keep(work.agent.id, 0 if decision == "always" else work.turn.row or 0, question.patterns)
    if not asks.settle(pending, Answer(given=True, text=reason, decision=decision)):
        return NOTHING_WAITS
    if decision == "deny":
        return "Denied."
    if decision == "once" or not kinds:
        return "Approved, this once."
    where = "in this session" if decision == "session" else f"by agent {work.agent.id}"
    return f"Approved, and so is all of the kind {kinds} {where}."


async def _approve(call: Call) -> Reply:
    """Say yes to the command that waits, or look after what was approved before."""
    word, _, rest = call.args.partition(" ")
    if word == "list":
        return await _listed(call)
    if word == "forget":
        return await _forgotten(call, rest.strip())
    decision = _WORDS.get(call.args.lower())
    if decision is None:
        return _USAGE
    found = _waiting(call)
    if isinstance(found, str):
        return found
    return await _decide(call.desk.asks, found, decision) if found.question.kind == "approval" else NO_APPROVAL


async def _deny(call: Call) -> Reply:
    """Say no to the command that waits, or leave the question unanswered that does."""
    found = _waiting(call)
    if isinstance(found, str):
        return found
    reason = shown(call.args)[:REASON_CHARS]
    if found.question.kind == "approval":
        return await _decide(call.desk.asks, found, "deny", reason)
    call.desk.asks.settle(found, Answer(given=False, text=reason or NOT_ANSWERED))
    return "The question stays without an answer."


def _waiting(call: Call) -> Pending | str:
    """Return the question that waits in the chat and that the sender may answer, or why there is none."""
    pending = call.desk.asks.shown_in(place_of(call.agent.id, call.inbound))
    if pending is None:
        return NOTHING_WAITS
    if not (call.admin or _own(pending, call.inbound)):
        return NOT_YOURS.format(agent=call.agent.id)
    return pending


async def _listed(call: Call) -> str:
    """List what need not be approved any more."""
    row = await call.desk.book.current() if call.stored else None
    found = await call.desk.asks.kept.listed(call.agent.id, row.id if row else None)
    lines = [f"- {shown(pattern)}{'' if for_good else ' (in this session)'}" for pattern, for_good in found]
    return "\n".join(["Approved before:", *lines]) if lines else "Nothing was approved for longer than once."


async def _forgotten(call: Call, pattern: str) -> str:
    """Have a kind of command approved again each time."""
    if not pattern:
        return _USAGE
    if not await call.desk.asks.kept.forget(call.agent.id, pattern):
        return f"Nothing of the kind {shown(pattern)!r} was approved: /approve list shows what was."
    return f"What is of the kind {shown(pattern)!r} has to be approved again."


COMMANDS = (
    Command(
        "approve",
        _approve,
        "Say yes to the command that the agent waits to run; session, always: also to all of its kind.",
        "[once | session | always | list | forget KIND]",
    ),
    Command("deny", _deny, "Say no to the command that the agent waits to run, or leave its question open.", "[REASON]"),
)
