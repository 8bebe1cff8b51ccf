"""Agent: the named tenant that people configure and talk to, as one frozen value with every inheritance resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hermes_iso.broker.egress.rules import EgressRules
from hermes_iso.engines import Engine, HermesAgent, Tools, tools_of, with_hermes
from hermes_iso.errors import TurnError, UsageError
from hermes_iso.policy import ToolPolicy
from hermes_iso.profile_files import read_persona
from hermes_iso.profiles import Profile
from hermes_iso.shaping import Needs, narrowing, needs_of, shaped
from hermes_iso_sandbox import Confinement, Narrowing

BusyMode = Literal["queue", "steer", "interrupt"]
ApiMode = Literal["chat_completions", "anthropic_messages", "offline"]
"""How a provider is spoken to; `offline` is the built-in model, which is not spoken to at all."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which model answers, where, and with which key.

    provider: `none` when no model is configured anywhere: then `key_hint` names the key to set.
    base_url: without a trailing slash; empty for `builtin` and `none`.
    key_hint: where a missing key would go, e.g. "OPENAI_API_KEY in /srv/home/.env"; empty when no key is needed.
    reasoning: how hard it is told to think, where a session says so.
    spare_keys: further keys of the same provider, which the gateway may put in where that one is refused.
    bearer: whether the key goes into Authorization although the dialect has a header of its own for it.
    """

    provider: str
    model: str
    base_url: str
    api_mode: ApiMode
    api_key: str | None = field(default=None, repr=False)
    key_hint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    reasoning: str = ""
    spare_keys: tuple[str, ...] = field(default=(), repr=False)
    bearer: bool = False


def no_other_model(name: str) -> ModelSettings:
    """Know no model by its name: what an agent does that was not made from a config. Raises UsageError."""
    raise UsageError(f"This agent knows no model {name!r}.")


@dataclass(frozen=True, slots=True)
class Contacts:
    """The agents that one may write to and those that it takes messages from; a message needs the word of both sides.

    chats: chats that it may write to beside those that are its own anyhow, by names for them: PLATFORM:CHAT or
    PLATFORM:CHAT:THREAD. writes: whether any chat is served that it could write to.
    """

    to: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    chats: Mapping[str, str] = field(default_factory=dict)
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Subagents:
    """How far an agent may delegate in one turn.

    max_depth: how deep subagents of subagents go, 0 for none at all. max_children: subagents of one turn in all, those of its
    subagents among them. model: who answers them; None is the model of whoever delegates.
    """

    max_depth: int = 1
    max_children: int = 5
    model: ModelSettings | None = None


class Allowance:
    """How many subagents a turn and all turns below it may still have."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.left = count

    def take(self, wanted: int) -> int:
        """Take the right to so many subagents and return the number of the first. Raises TurnError(too_many): none is taken."""
        if wanted > self.left:
            rest = f"ask for at most {self.left} more" if self.left else "do the rest yourself"
            raise TurnError(
                "too_many",
                f"A turn of this agent may have {self.count} subagents in all, {self.count - self.left} of them are used"
                f" and {wanted} were asked for: {rest}.",
            )
        first = self.count - self.left + 1
        self.left -= wanted
        return first


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent, ready to serve.

    ns: what stands for it in session keys: `main` for the root agent, else its id.
    persona: the first system text: personality, else the profile's SOUL.md, else the root's, else a built-in one.
    persona_file: a SOUL.md that counts before that as it stands now, because the agent's turns may write it.
    hermes: what its engine needs, where that is hermes-agent.
    egress: which hosts its turns may reach; without any it needs no door.
    max_concurrent: how many of its turns may run at a time; None: as many as the gateway has places.
    resume: whether a turn that had called a tool when the gateway ended is run again, or its chat told.
    busy_input_mode: what becomes of a message that comes while a turn of its session runs.
    turn_timeout: seconds a turn may take; background_timeout: seconds a background process may live.
    ask_timeout: seconds that a turn waits for a person; they do not count for the other.
    fallbacks: who answers, in this order, when `model` does not.
    models: what programs in the sandbox may ask at the model host beside those; None: they have none.
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
    engine: Engine = "native"
    hermes: HermesAgent | None = None
    turn_timeout: float = 600.0
    ask_timeout: float = 900.0
    background_timeout: float = 3600.0
    max_iterations: int = 90
    fallbacks: tuple[ModelSettings, ...] = ()
    models: tuple[ModelSettings, ...] | None = None
    admins: frozenset[str] = frozenset()
    personalities: Mapping[str, str] = field(default_factory=dict)
    name_model: Callable[[str], ModelSettings] = field(default=no_other_model, repr=False, compare=False)
    subagents: Subagents = Subagents()
    persona_file: Path | None = None
    contacts: Contacts = Contacts()
    egress: EgressRules = field(default_factory=EgressRules)
    max_concurrent: int | None = None
    resume: Literal["tell", "rerun"] = "tell"
    busy_input_mode: BusyMode = "queue"

    def current_persona(self) -> str:
        """Return the persona of a turn that begins now."""
        written = read_persona(self.persona_file)[0] if self.persona_file else ""
        return written or self.persona

    @property
    def tools(self) -> Tools:
        """All tools of its engine, by their names."""
        return tools_of(self.engine)

    @property
    def offered(self) -> tuple[str, ...]:
        """The tools that its engine has for it: one for writing to agents and chats only where there are some."""
        return tuple(name for name in self.tools if name != "send_message" or self.contacts.to or self.contacts.writes)

    @property
    def needs(self) -> Needs:
        """What the agent's own grant needs of its sandbox, over all platforms."""
        return needs_of(self.policy.grant(self.tools), self.tools)

    @property
    def has_door(self) -> bool:
        """Whether there is a way out of its sandbox: there is something that it may reach, and it has a tool that could.

        An engine of its own reaches its model that way.
        """
        reaches = self.egress.opens or self.models is not None or bool(self.profile.secrets)
        return self.engine == "hermes" or (reaches and self.needs.execute)

    def confinement(self) -> Confinement:
        """Return what every process of this agent may touch, from the files as they stand now. Raises ConfigError."""
        confinement = shaped(self.profile.confinement(), self.needs, self.profile.workplaces)
        confinement = replace(confinement, door=self.has_door)
        return with_hermes(confinement, self.hermes, soul=not self.profile.soul_writable) if self.hermes else confinement

    def facts(self) -> dict[str, Any]:
        """Return what an engine of its own is told of this turn's agent: its model, and a persona that a session chose."""
        if self.hermes is None:
            return {}
        persona = "" if self.persona == self.hermes.persona or self.persona_file else self.persona
        model = self.hermes.asked or self.hermes.own
        return {**model, "reasoning": self.model.reasoning, "persona": persona}

    def narrowing(self, granted: Iterable[str]) -> Narrowing:
        """Return what a turn with this grant has to give up of the agent's sandbox."""
        return narrowing(self.needs, needs_of(granted, self.tools), self.profile.workplaces)
