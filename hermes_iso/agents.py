"""Agent: the named tenant that people configure and talk to, as one frozen value with every inheritance resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hermes_iso.errors import UsageError
from hermes_iso.policy import ToolPolicy
from hermes_iso.profiles import Profile
from hermes_iso.shaping import Needs, narrowing, needs_of, shaped
from hermes_iso.tools import TOOLS
from hermes_iso_sandbox import Confinement, Narrowing

ApiMode = Literal["chat_completions", "anthropic_messages", "offline"]
"""How a provider is spoken to; `offline` is the built-in model, which is not spoken to at all."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model answers, where, and with which key.

    provider: `none` when no model is configured anywhere: then `key_hint` names the key to set.
    base_url: without a trailing slash; empty for `builtin` and `none`.
    key_hint: where a missing key would go, e.g. "OPENAI_API_KEY in /srv/home/.env"; empty when no key is needed.
    reasoning: how hard it is told to think, where a session says so.
    """

    provider: str
    model: str
    base_url: str
    api_mode: ApiMode
    api_key: str | None = field(default=None, repr=False)
    key_hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    reasoning: str = ""


def no_other_model(name: str) -> ModelSettings:
    """Know no model by its name: what an agent does that was not made from a config. Raises UsageError."""
    raise UsageError(f"This agent knows no model {name!r}.")


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, ready to serve.

    ns: what stands for it in session keys: `main` for the root agent, else its id.
    persona: the first system text: personality, else the profile's SOUL.md, else the root's, else a built-in one.
    turn_timeout: seconds a turn may take; background_timeout: seconds a background process may live.
    admins: who may see and do more with it than others, as PLATFORM:USER; `*` is every user of the platform.
    personalities: the personas that a session may choose by name.
    name_model: resolves a model's name as the agent's config would. Raises UsageError.
    """

    id: str
    ns: str
    model: ModelSettings
    persona: str
    policy: ToolPolicy
    profile: Profile
    engine: Literal["native"] = "native"
    turn_timeout: float = 600.0
    background_timeout: float = 3600.0
    max_iterations: int = 90
    admins: frozenset[str] = frozenset()
    personalities: Mapping[str, str] = field(default_factory=dict)
    name_model: Callable[[str], ModelSettings] = field(default=no_other_model, repr=False, compare=False)

    @property
    def needs(self) -> Needs:
        """What the agent's own grant needs of its sandbox, over all platforms."""
        return needs_of(self.policy.widest(TOOLS))

    def confinement(self) -> Confinement:
        """Return what every process of this agent may touch, from the files as they stand now. Raises ConfigError."""
        return shaped(self.profile.confinement(), self.needs, self.profile.workplaces)

    def narrowing(self, granted: Iterable[str]) -> Narrowing:
        """Return what a turn with this grant has to give up of the agent's sandbox."""
        return narrowing(self.needs, needs_of(granted), self.profile.workplaces)
