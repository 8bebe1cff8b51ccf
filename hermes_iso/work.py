"""Work: a turn with all that is needed to run it, as one value, so that the steps of the line have one parameter."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from hermes_iso.adapter import Relay
from hermes_iso.agents import Agent
from hermes_iso.broker.calls import Answers, OfferedTool
from hermes_iso.journal import TurnLog
from hermes_iso.sessions import Turn
from hermes_iso.tools import TOOLS
from hermes_iso_sandbox import wire


def command_environment(agent: Agent) -> dict[str, str]:
    """Return what a turn's environment has beside its profile's, for a command of the operator's that is no turn."""
    return {
        "HERMES_SESSION_ID": "exec",
        "HERMES_ISO_AGENT": agent.id,
        "HERMES_ISO_SESSION_KEY": f"agent:{agent.ns}:console:dm:exec",
        "HERMES_ISO_TURN_ID": secrets.token_hex(12),
    }


@dataclass(frozen=True, slots=True)
class Work:
    """A turn, the agent that takes it, the tools that it was granted, and where what it shows and does is told.

    desk: takes what it writes to other agents; None where it may not.
    """

    turn: Turn
    agent: Agent
    tools: tuple[OfferedTool, ...]
    relay: Relay
    log: TurnLog
    desk: Answers | None = None

    @staticmethod
    def granted(turn: Turn, agent: Agent, *, relay: Relay, log: TurnLog, desk: Answers | None = None) -> Work:
        """Return the work of a turn with the tools that its agent's policy grants on this platform."""
        names = agent.policy.grant(agent.offered, turn.route.reply_to.platform)
        tools = tuple(TOOLS[name] for name in names)
        return Work(turn, agent, tools, relay, log, desk if "send_message" in names else None)

    def request(self) -> wire.TurnRequest:
        """Return what the guest is told: plain data, no secret."""
        turn, agent = self.turn, self.agent
        return wire.TurnRequest(
            turn_id=turn.turn_id,
            agent=agent.id,
            session_key=turn.route.session_key,
            session_id=turn.session_id,
            text=turn.inbound.text,
            history=list(turn.history),
            persona=agent.persona,
            instructions=turn.inbound.instructions,
            tools=[tool.name for tool in self.tools],
            max_iterations=agent.max_iterations,
            engine=agent.engine,
            narrowing=agent.narrowing(tool.name for tool in self.tools),
        )

    def process_environment(self) -> dict[str, str]:
        """Return what tells a background process whose it is."""
        return {
            "HERMES_SESSION_ID": self.turn.session_id,
            "HERMES_ISO_AGENT": self.agent.id,
            "HERMES_ISO_SESSION_KEY": self.turn.route.session_key,
            "HERMES_ISO_TURN_ID": self.turn.turn_id,
        }
