"""Work: a turn with all that is needed to run it, as one value, so that the steps of the line have one parameter."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from hermes_iso.agents import Agent, Allowance
from hermes_iso.errors import TurnError
from hermes_iso.journal import TurnLog
from hermes_iso.ledger import NO_LEDGER, Ledger
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.relays import Relay, one_at_a_time
from hermes_iso.sessions import Turn
from hermes_iso.slots import FREE_SLOT, FreeSlot
from hermes_iso.tool_spec import ToolSpec
from hermes_iso_sandbox import wire


def command_environment(agent: Agent) -> dict[str, str]:
    """Return what a turn's environment has beside its profile's, for a command of the operator's that is no turn."""
    return {
        "HERMES_SESSION_ID": "exec",
        "HERMES_ISO_AGENT": agent.id,
        "HERMES_ISO_SESSION_KEY": f"agent:{agent.ns}:console:dm:exec",
        "HERMES_ISO_TURN_ID": secrets.token_hex(12),
    }


class Broker(Protocol):
    """Answers one broker method of a turn; it checks by itself whether the turn may ask that."""

    async def answer(self, params: dict[str, Any]) -> dict[str, Any]:
        """Return what the guest is told. Raises TurnError, SandboxError."""


class NoMailbox:
    """Takes no message: what a turn has that may not write to other agents."""

    async def answer(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # the form of a Broker
        """Raise TurnError(not_granted)."""
        raise TurnError("not_granted", "Writing to agents is the tool send_message's, which this turn is not granted.")


class Clock(Protocol):
    """Keeps a turn's time; `leases.Leash` is one."""

    def paused(self) -> AbstractContextManager[None]:
        """Let no time count while the body runs; may be entered several times at once."""


NO_MAILBOX = NoMailbox()
OTHER_TOOLS = "mcp-*"
"""Stands for the tools that no policy knows by their names: a list that grants some tools does not grant them."""
_NOTHING = ToolPolicy((Layer("session", allow=frozenset()),))


@dataclass(frozen=True, slots=True)
class Work:
    """A turn, the agent that takes it, the tools that it was granted, and where what it shows and does is told.

    policy: all layers that decided about the tools. allowance: the subagents that are left to it. depth: 0, or how many turns
    above it delegated. mailbox: takes what it writes to other agents. slot: its place among the turns that run at a time.
    ledger: keeps its steps, the tools that it calls among them. model_key: by what the model host knows an engine of its own.
    clocks: what keeps its time, and that of the turns above it.
    """

    turn: Turn
    agent: Agent
    tools: tuple[ToolSpec, ...]
    relay: Relay
    log: TurnLog
    policy: ToolPolicy = _NOTHING
    allowance: Allowance = field(default_factory=lambda: Allowance(0))
    depth: int = 0
    mailbox: Broker = NO_MAILBOX
    slot: FreeSlot = FREE_SLOT
    ledger: Ledger = NO_LEDGER
    clocks: tuple[Clock, ...] = ()
    model_key: str = field(default_factory=partial(secrets.token_hex, 16), repr=False)

    @staticmethod
    def granted(
        turn: Turn,
        agent: Agent,
        *,
        relay: Relay,
        log: TurnLog,
        mailbox: Broker = NO_MAILBOX,
        slot: FreeSlot = FREE_SLOT,
        ledger: Ledger = NO_LEDGER,
    ) -> Work:
        """Return the work of a turn with the tools that all layers of its policy grant on this platform.

        mailbox: takes what it writes to other agents, if it is granted that. Raises TurnError(no_tools).
        """
        policy = agent.policy.narrowed(Layer("session", deny=turn.denied_tools))
        tools, platform = _granted(turn, agent, policy), turn.route.reply_to.platform
        if not tools:
            where = f"in this session on {platform}" if turn.denied_tools else f"on {platform}"
            how = "/tools lists them" if turn.denied_tools else f"`hermes-iso policy explain {agent.id}` says why"
            raise TurnError("no_tools", f"Agent {agent.id} is granted no tool {where}, so it takes no turn there: {how}.")
        mailbox = mailbox if any(tool.name == "send_message" for tool in tools) else NO_MAILBOX
        allowance = Allowance(agent.subagents.max_children)
        return Work(turn, agent, tools, one_at_a_time(relay), log, policy, allowance, 0, mailbox, slot, ledger)

    def below(self, turn: Turn, agent: Agent, *, layer: Layer, relay: Relay) -> Work:
        """Return the work of a turn that this one delegated: it has this one's policy, narrowed, and its allowance.

        Raises TurnError(no_tools).
        """
        policy = self.policy.narrowed(layer)
        tools = _granted(turn, agent, policy)
        if not tools:
            yours = ", ".join(tool.name for tool in self.tools)
            raise TurnError("no_tools", f"Nothing that was asked for a subagent is granted to it: ask for others of {yours}.")
        log, deeper = self.log.below(turn.turn_id), self.depth + 1
        return Work(turn, agent, tools, relay, log, policy, self.allowance, deeper, slot=self.slot, clocks=self.clocks)

    @staticmethod
    def without_tools(turn: Turn, agent: Agent, *, relay: Relay, log: TurnLog) -> Work:
        """Return the work of a turn that only thinks: no tool is offered to it, whatever the policy grants."""
        return Work(turn, agent, (), relay, log)

    @property
    def may_go_out(self) -> bool:
        """Whether it is granted a tool that could use its agent's way out."""
        return any(tool.goes_out for tool in self.tools) or (self.agent.engine == "hermes" and self._others)

    @property
    def _others(self) -> bool:
        """Whether it is granted tools that no policy knows, of plugins and MCP servers."""
        return bool(self.tools) and not self.policy.refusal(OTHER_TOOLS, self.turn.route.reply_to.platform)

    @asynccontextmanager
    async def waiting_for_person(self) -> AsyncIterator[None]:
        """Let none of the turn's time count, and give its slot to others, while the body waits for a person."""
        with ExitStack() as stack:
            for clock in self.clocks:
                stack.enter_context(clock.paused())
            async with self.slot.given_back():
                yield

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
            persona=agent.current_persona(),
            instructions=turn.inbound.instructions,
            tools=[tool.name for tool in self.tools],
            max_iterations=agent.max_iterations,
            engine=agent.engine,
            facts=self._facts(),
            narrowing=agent.narrowing(tool.name for tool in self.tools),
        )

    def _facts(self) -> dict[str, Any]:
        """Return what an engine of its own is told besides.

        stored: whether its session is kept. title: that session's. summed_up: whether its history begins with a summary.
        refused: tools of Hermes' that this turn is not granted. others: whether it is granted those that no policy knows, of
        plugins and MCP servers.
        """
        if self.agent.engine == "native":
            return {}
        names = {tool.name for tool in self.tools}
        return {
            **self.agent.facts(),
            "platform": self.turn.route.reply_to.platform,
            "stored": self.turn.row is not None,
            "title": self.turn.title,
            "summed_up": self.turn.summed_up,
            "key": self.model_key,
            "refused": sorted(self.agent.tools.keys() - names),
            "others": self._others,
        }

    def process_environment(self) -> dict[str, str]:
        """Return what tells a background process whose it is."""
        return {
            "HERMES_SESSION_ID": self.turn.session_id,
            "HERMES_ISO_AGENT": self.agent.id,
            "HERMES_ISO_SESSION_KEY": self.turn.route.session_key,
            "HERMES_ISO_TURN_ID": self.turn.turn_id,
        }


def _granted(turn: Turn, agent: Agent, policy: ToolPolicy) -> tuple[ToolSpec, ...]:
    """Return the tools of a turn."""
    return tuple(agent.tools[name] for name in policy.grant(agent.offered, turn.route.reply_to.platform))
