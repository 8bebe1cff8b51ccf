"""Menu: which models a turn's programs may ask, who takes over for whom, and what is refused to them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hermes_iso.agents import Agent, ModelSettings
from hermes_iso.broker.calls import OfflineFacts
from hermes_iso.policy import ToolPolicy
from hermes_iso.toolsets import KNOWN_TOOLS


@dataclass(frozen=True, slots=True)
class Menu:
    """What the model host offers one turn.

    models: by the names that a request may use, the agent's own first. fallbacks: who answers, in this order, when the agent's
    own model does not. platform: where the turn's message came from, as policies know it.
    """

    models: Mapping[str, ModelSettings]
    fallbacks: tuple[ModelSettings, ...]
    policy: ToolPolicy
    platform: str
    about: OfflineFacts

    @staticmethod
    def of(agent: Agent, policy: ToolPolicy, platform: str) -> Menu:
        """Return what an agent's programs may ask in a turn with this policy."""
        named: dict[str, ModelSettings] = {}
        for settings in (agent.model, *agent.fallbacks, *(agent.models or ())):
            if settings.provider != "none":
                named.setdefault(settings.model, settings)
        for settings in tuple(named.values()):
            named.setdefault(f"{settings.provider}/{settings.model}", settings)
        return Menu(named, agent.fallbacks, policy, platform, OfflineFacts(agent.id, agent.engine, "namespace"))

    def refused(self, tool: str) -> bool:
        """Say whether policy keeps a tool from the turn. A program's own tools, which no policy knows, are its own affair."""
        return tool in KNOWN_TOOLS and bool(self.policy.refusal(tool, self.platform))

    def candidates(self, settings: ModelSettings) -> tuple[ModelSettings, ...]:
        """Return who is asked for a model, in order: only the agent's own has others that take over."""
        own = next(iter(self.models.values()), None)
        return (settings, *self.fallbacks) if settings == own else (settings,)
