"""Menu: which models a turn's programs may ask, who takes over for whom, and what is refused to them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hermes_iso.agents import Agent, ModelSettings
from hermes_iso.broker.calls import OfflineFacts
from hermes_iso.broker.upstream import Sender
from hermes_iso.policy import ToolPolicy
from hermes_iso.toolsets import KNOWN_TOOLS


class Offer(Protocol):
    """What the model host offers one turn; `Menu` is one.

    models: by the names that a request may use, the agent's own first. about: who answers where the built-in model does.
    hosts: further names of the model host; where there are some, its paths may lie below any other.
    """

    @property
    def models(self) -> Mapping[str, ModelSettings]:
        """See above."""

    @property
    def about(self) -> OfflineFacts:
        """See above."""

    @property
    def hosts(self) -> frozenset[str]:
        """See above."""

    def knows(self, key: str) -> bool:
        """Say whether a key, as it stands inside, is a placeholder of the engine's own."""

    def models_for(self, key: str) -> Mapping[str, ModelSettings]:
        """Return the models that a request with this key may name."""

    def refused(self, tool: str, /) -> bool:
        """Say whether policy keeps a tool from the turn."""

    def candidates(self, settings: ModelSettings) -> tuple[ModelSettings, ...]:
        """Return who is asked for a model, in order."""

    def sender(self, sender: Sender, settings: ModelSettings) -> Sender:
        """Return what sends the requests for a model."""


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

    @property
    def hosts(self) -> frozenset[str]:
        """Further names of the model host."""
        return frozenset()

    def knows(self, key: str) -> bool:  # noqa: ARG002  # see Offer
        """Say that there is no such placeholder."""
        return False

    def models_for(self, key: str) -> Mapping[str, ModelSettings]:  # noqa: ARG002
        """Return the models that a request may name, whatever its key is."""
        return self.models

    def sender(self, sender: Sender, settings: ModelSettings) -> Sender:  # noqa: ARG002
        """Return what sends the requests for a model."""
        return sender

    def refused(self, tool: str) -> bool:
        """Say whether policy keeps a tool from the turn. A program's own tools, which no policy knows, are its own affair."""
        return is_refused(tool, self.policy, self.platform)

    def candidates(self, settings: ModelSettings) -> tuple[ModelSettings, ...]:
        """Return who is asked for a model, in order: only the agent's own has others that take over."""
        own = next(iter(self.models.values()), None)
        return (settings, *self.fallbacks) if settings == own else (settings,)


def is_refused(tool: str, policy: ToolPolicy, platform: str) -> bool:
    """Say whether policy keeps a tool from a turn; of those that it does not know it says nothing."""
    return tool in KNOWN_TOOLS and bool(policy.refusal(tool, platform))


Offers: TypeAlias = Callable[[Menu], Offer]
"""Makes the offer to a turn from the usual one."""
