"""From an agent's source and profile to the Agent, with persona, model and tools inherited as they should be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hermes_iso.agents import Agent, Contacts, Subagents
from hermes_iso.config.hermes_models import HermesProfile, hermes_model, hermes_model_named, hermes_profile
from hermes_iso.config.model_choice import (
    choose_fallbacks,
    choose_model,
    choose_models,
    choose_subagent_model,
    model_named,
)
from hermes_iso.config.people import PERSONA, admins, busy_input_mode, persona_of, personalities
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.root_shapes import SubagentShape
from hermes_iso.config.source import Names, Source
from hermes_iso.config.tool_rules import tool_policy
from hermes_iso.engines import HermesAgent
from hermes_iso.profiles import Profile

ITERATIONS = 90
"""Most model calls with tools per turn where `agent.max_turns` is not set; Hermes' own default."""


@dataclass(frozen=True, slots=True)
class AgentMaker:
    """Makes the agents of one home; what is wrong is noted."""

    root: Source
    subagent: SubagentShape
    problems: ProblemList
    hermes_python: str = ""

    def make(self, source: Source, profile: Profile, names: Names, *, contacts: Contacts | None = None) -> Agent:
        """Return the agent. `names` is where its `${NAME}`s and keys are looked up."""
        sandbox = source.overlay.sandbox
        hermes = hermes_profile(source, self.root, python=self.hermes_python, names=names)
        agent = Agent(
            id=source.id,
            ns=source.id,
            model=hermes_model(hermes.model)
            if hermes
            else choose_model(source, self.root, names=names, problems=self.problems),
            persona=persona_of(source, self.root, problems=self.problems),
            policy=tool_policy(source, self.root, problems=self.problems),
            profile=profile,
            engine=source.overlay.engine,
            max_concurrent=source.overlay.max_concurrent,
            resume=source.overlay.resume,
            turn_timeout=sandbox.turn_timeout,
            ask_timeout=source.overlay.ask_timeout,
            busy_input_mode=busy_input_mode(source, self.root),
            background_timeout=sandbox.background_timeout,
            max_iterations=_turns(source) or _turns(self.root) or ITERATIONS,
            fallbacks=() if hermes else choose_fallbacks(source, self.root, names=names, problems=self.problems),
            models=choose_models(source, self.root, names=names, problems=self.problems),
            admins=admins(source, self.root, problems=self.problems),
            personalities=personalities(source, self.root),
            name_model=hermes_model_named if hermes else partial(model_named, source, self.root, names),
            subagents=self._subagents(source, names),
            persona_file=self._persona_file(source),
            contacts=contacts or Contacts(),
        )
        return replace(agent, hermes=self._hermes(agent, hermes)) if hermes else agent

    def _hermes(self, agent: Agent, profile: HermesProfile) -> HermesAgent:
        """Return what hermes-agent needs; where nobody wrote a persona it has its own."""
        persona = "" if agent.persona == PERSONA else agent.persona
        return HermesAgent(self.hermes_python, profile.model, agent.max_iterations, persona, profile)

    def _subagents(self, source: Source, names: Names) -> Subagents:
        """Return how the agent may delegate."""
        shape = source.overlay.subagents
        model = choose_subagent_model(source, self.root, self.subagent.model, names=names, problems=self.problems)
        return Subagents(shape.max_depth, shape.max_children, model)

    def _persona_file(self, source: Source) -> Path | None:
        """Return the SOUL.md that the agent may write, where that decides who it is."""
        decides = source.overlay.allow_soul_edit and not (source.overlay.personality or "").strip()
        return source.home / "SOUL.md" if decides else None


def _turns(source: Source) -> int | None:
    return source.keys.agent.max_turns or source.keys.max_turns
