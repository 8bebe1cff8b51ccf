"""SessionSettings: what people set for one session alone, and what it makes of the agent that takes its turns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hermes_iso.agents import Agent
from hermes_iso.errors import TurnError, UsageError

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
"""How hard a model may be told to think."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """A session's own settings; an empty one leaves the agent's word.

    model: a name as the config spells it. reasoning: one of EFFORTS. personality: a name of the config's `personalities`.
    denied_tools: taken away from this session's turns, whatever grants them.
    """

    model: str = ""
    reasoning: str = ""
    personality: str = ""
    denied_tools: frozenset[str] = frozenset()

    def as_text(self) -> str:
        """Return the settings as they are stored: JSON of those that say something."""
        said: dict[str, Any] = {name: getattr(self, name) for name in ("model", "reasoning", "personality")}
        said["denied_tools"] = sorted(self.denied_tools)
        return json.dumps({name: value for name, value in said.items() if value})

    @staticmethod
    def from_text(text: str) -> SessionSettings:
        """Return the settings that `as_text` wrote."""
        said: Mapping[str, Any] = json.loads(text)
        words = {name: str(said.get(name, "")) for name in ("model", "reasoning", "personality")}
        return SessionSettings(**words, denied_tools=frozenset(map(str, said.get("denied_tools", ()))))

    def applied(self, agent: Agent) -> Agent:
        """Return the agent as this session has it: its own word comes before the agent's, and that before the gateway's.

        Raises TurnError(config) when a name that was right when it was set leads nowhere any more.
        """
        try:
            model = agent.name_model(self.model) if self.model else agent.model
        except UsageError as error:
            raise TurnError("config", f"{error} It was set for this session: /model default goes back.") from error
        if self.personality:
            if self.personality not in agent.personalities:
                text = f"There is no personality {self.personality!r} any more: /personality none goes back."
                raise TurnError("config", text)
            agent = replace(agent, persona=agent.personalities[self.personality], persona_file=None)
        return replace(agent, model=replace(model, reasoning=self.reasoning or model.reasoning))


NO_SETTINGS = SessionSettings()
