"""A message that comes while a turn of its session runs: it waits, is told to that turn, or ends it, as Hermes' config says."""

from __future__ import annotations

from hermes_iso.agents import Agent
from hermes_iso.commands.desk import Desk
from hermes_iso.errors import TurnError
from hermes_iso.messages import Inbound

PATIENT = frozenset({"api_server", "agent", "cron", "webhook"})
"""Platforms whose messages always wait: whoever sent one waits for an answer of its own."""
TAKEN = "The running turn has it."


def presses(inbound: Inbound, agent: Agent) -> bool:
    """Say whether a message for an agent would not just wait for the turn that runs."""
    return agent.busy_input_mode != "queue" and inbound.chat.platform.lower() not in PATIENT and not inbound.attachments


async def meet_running(inbound: Inbound, agent: Agent, desk: Desk) -> str | None:
    """Tell the running turn, or have it stop; return what is said to that, or None for a message that is a turn of its own.

    A turn that has delegated is not stopped for a message: /stop does that, and the work of its subagents would be lost.
    """
    if not presses(inbound, agent):
        return None
    for turn in desk.running():
        if agent.busy_input_mode == "steer":
            try:
                if await desk.runner.steer(turn.turn_id, inbound.text):
                    return TAKEN
            except TurnError:  # it was told too much already, or this is too long for it
                return None
        elif not desk.delegates(turn):
            desk.runner.interrupt(turn.turn_id)
    return None
