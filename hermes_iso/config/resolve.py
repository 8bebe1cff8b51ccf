"""From an agent's source and profile to the Agent, with persona, model and tools inherited as they should be."""

from __future__ import annotations

from dataclasses import dataclass

from hermes_iso.agents import Agent, Subagents
from hermes_iso.config.model_choice import choose_model, choose_subagent_model
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.root_shapes import SubagentShape
from hermes_iso.config.source import Names, Source
from hermes_iso.config.tool_rules import tool_policy
from hermes_iso.profile_files import read_persona
from hermes_iso.profiles import Profile

PERSONA = (
    "You are a helpful assistant. You work with the tools that you are offered, say plainly what you did and what you"
    " could not do, and ask when a request can be read in two ways."
)
"""Who an agent is that no personality and no SOUL.md describes."""
ITERATIONS = 90
"""Most model calls with tools per turn where `agent.max_turns` is not set; Hermes' own default."""


@dataclass(frozen=True, slots=True)
class AgentMaker:
    """Makes the agents of one home; what is wrong is noted."""

    root: Source
    subagent: SubagentShape
    problems: ProblemList

    def make(self, source: Source, profile: Profile, names: Names) -> Agent:
        """Return the agent. `names` is where its `${NAME}`s and keys are looked up."""
        sandbox = source.overlay.sandbox
        return Agent(
            id=source.id,
            ns=source.id,
            model=choose_model(source, self.root, names=names, problems=self.problems),
            persona=self._persona(source),
            policy=tool_policy(source, self.root, problems=self.problems),
            profile=profile,
            engine=source.overlay.engine,
            turn_timeout=sandbox.turn_timeout,
            background_timeout=sandbox.background_timeout,
            max_iterations=_turns(source) or _turns(self.root) or ITERATIONS,
            subagents=self._subagents(source, names),
        )

    def _subagents(self, source: Source, names: Names) -> Subagents:
        """Return how the agent may delegate."""
        shape = source.overlay.subagents
        model = choose_subagent_model(source, self.root, self.subagent.model, names=names, problems=self.problems)
        return Subagents(shape.max_depth, shape.max_children, model)

    def _persona(self, source: Source) -> str:
        """Return the personality, else the profile's SOUL.md, else the root's, else the built-in persona."""
        personality = (source.overlay.personality or "").strip()
        if personality:
            return personality
        for home in dict.fromkeys((source.home, self.root.home)):
            text, warning = read_persona(home / "SOUL.md")
            if warning:
                self.problems.warn(warning)
            if text:
                return text
        return PERSONA


def _turns(source: Source) -> int | None:
    return source.keys.agent.max_turns or source.keys.max_turns
