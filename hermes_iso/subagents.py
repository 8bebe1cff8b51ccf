"""Subagents: the Work of a turn that another turn delegated, and the broker through which it did.

A subagent is the same agent on the same profile in a turn process of its own: what it can do less comes from one more layer of
the policy, what it costs is charged to its parent, and nothing of its parent's conversation reaches it but the task. Its
background processes are its own and end with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

from hermes_iso.broker.delegation import DelegateBroker, StepsLeft, Task
from hermes_iso.outcomes import Outcome
from hermes_iso.policy import Layer
from hermes_iso.relays import tools_of_subagent
from hermes_iso.sessions import new_session_id
from hermes_iso.toolsets import tools_named
from hermes_iso.work import Work

TOOL = "delegate_task"
NEVER = frozenset({"clarify", "memory", "send_message", "cronjob"})
"""What no subagent may call: it speaks to nobody but its parent, and leaves no notes and no jobs behind. As in Hermes."""
INSTRUCTIONS = (
    "You are a subagent: an agent has delegated one task to you, and your answer goes to that agent. You know nothing of its"
    " conversation but what the task says, and nobody can answer a question: where something is open, decide and say so. Do the"
    " task, then answer with what you did and found, which files you made or changed, and what is left to do."
)

RunWork = Callable[[Work], Awaitable[Outcome]]


def delegation(work: Work, run: RunWork, budget: StepsLeft) -> DelegateBroker:
    """Return the broker of a turn that may delegate; `run` takes the Work of each subagent to its end."""

    async def run_task(task: Task, number: int) -> Outcome:
        child = subagent_work(work, task, number)
        names = {"child": child.turn.turn_id, "number": number, "depth": child.depth}
        await work.log.add("delegated", tools=len(child.tools), **names)
        await child.log.add("began_as_subagent", parent=work.turn.turn_id, number=number, depth=child.depth)
        outcome = None
        try:
            outcome = await run(child)
        finally:
            if outcome is None:
                await work.log.add_last("subagent_cancelled", **names)
        await work.log.add("subagent_ended", error=outcome.error, model_calls=outcome.usage.calls, **names)
        return outcome

    return DelegateBroker(work.allowance, run_task, refusal=_refusal(work), budget=budget)


def subagent_work(parent: Work, task: Task, number: int) -> Work:
    """Return the work of a subagent. Raises TurnError(no_tools) when nothing is granted to it."""
    depth = parent.depth + 1
    turn_id = secrets.token_hex(12)
    text = f"{task.goal}\n\nContext:\n{task.context}" if task.context else task.goal
    inbound = replace(parent.turn.inbound, text=text, instructions=INSTRUCTIONS, history=(), turn_id=turn_id)
    turn = replace(
        parent.turn,
        turn_id=turn_id,
        inbound=inbound,
        session_id=new_session_id(),
        processes=json.dumps(["subagent", turn_id]),
        history=(),
    )
    agent = parent.agent
    return parent.below(
        turn,
        replace(agent, model=agent.subagents.model or agent.model),
        layer=_layer(task, leaf=depth >= agent.subagents.max_depth),
        relay=tools_of_subagent(number, parent.relay),
    )


def _layer(task: Task, *, leaf: bool) -> Layer:
    """Return the layer of a subagent's policy: what was asked for it, without what none may have."""
    names = task.toolsets
    allow = None if names is None else frozenset(tool for name in names for tool in tools_named(name))
    places = {"allow": "the toolsets that were asked for it"}
    return Layer("subagent", allow=allow, deny=NEVER | {TOOL} if leaf else NEVER, places=places)


def _refusal(work: Work) -> str:
    """Say why a turn may not delegate, or return ''."""
    most = work.agent.subagents.max_depth
    if work.depth >= most:
        return f"Subagents of agent {work.agent.id} may go {most} deep, and this turn is at that depth: do the task yourself."
    if not any(tool.name == TOOL for tool in work.tools):
        return f"Delegating is the tool {TOOL}'s, which this turn is not granted."
    return ""
