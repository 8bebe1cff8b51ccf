"""The shapes of the root config's own keys: agents, the gateway and its API, as strict pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from hermes_iso.config.agent_shapes import AgentShape, OverlayModelShape
from hermes_iso.config.egress_shapes import EgressShape
from hermes_iso.config.shapes import Open, PathText, Shape, Switch, Texts, as_mapping
from hermes_iso.config.uid_ranges import as_uid_range
from hermes_iso.inbox.settings import KEEP_DAYS, MAX_QUEUED, MAX_QUEUED_PER_CHAT, TRIES, InboxSettings
from hermes_iso.slots import PLACES
from hermes_iso_sandbox.identity import HOST_UIDS

EVERYBODY = "*"
"""In `gateway.serve`: all agents that the home has."""


def _as_served(value: Any) -> Any:
    """Turn `serve: all` into a list with the one entry that can't be a name."""
    return [EVERYBODY] if value == "all" else value


def _as_listed(value: Any) -> Any:
    """Take a text with commas for a list, as Hermes does."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _as_most(value: Any) -> Any:
    """Take 0 for the default, as Hermes does."""
    return PLACES if value is None or (value == 0 and not isinstance(value, bool)) else value


class InboxShape(Shape):
    """`gateway.inbox`: how many messages may wait, how often one is tried, and how long ended ones are known."""

    max_queued: Annotated[int, Field(ge=1, le=100_000)] = MAX_QUEUED
    max_queued_per_chat: Annotated[int, Field(ge=1, le=10_000)] = MAX_QUEUED_PER_CHAT
    tries: Annotated[int, Field(ge=1, le=100)] = TRIES
    keep_days: Annotated[float, Field(ge=0.01, le=3650)] = KEEP_DAYS

    def settings(self) -> InboxSettings:
        """Return the bounds of the inbox."""
        return InboxSettings(self.max_queued, self.max_queued_per_chat, self.tries, self.keep_days)


class GatewayShape(Shape):
    """`gateway`: who is served, as which host uids, how long a hook may take, and whether edits count at once.

    Other settings of Hermes are ignored.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, arbitrary_types_allowed=True)

    serve: Annotated[Texts | None, BeforeValidator(_as_served)] = None
    unmatched: Literal["default", "reject"] = "default"
    dm_scope: Literal["per-chat", "per-peer", "main"] = "per-chat"
    multiplex_profiles: Switch | None = None
    hook_timeout: Annotated[float, Field(gt=0, le=60)] = 2.0
    host_uids: Annotated[range, BeforeValidator(as_uid_range)] = Field(
        default=f"{HOST_UIDS.start}-{HOST_UIDS.stop - 1}", validate_default=True
    )
    reload_on_change: Switch = False
    inbox: InboxShape = Field(default_factory=InboxShape)


class ApiKeyShape(Shape):
    """`platforms.api_server.extra.keys.<NAME>`: a key of its own for some agents; without `agents` for all."""

    key: str = Field(repr=False)
    agents: Texts | None = None


class ApiExtraShape(Open):
    """`platforms.api_server.extra`: the HTTP API."""

    host: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    key: str | None = Field(default=None, repr=False)
    keys: dict[str, ApiKeyShape] = Field(default_factory=dict)
    hosts: Texts = Field(default_factory=list)
    cors_origins: Annotated[Texts, BeforeValidator(_as_listed)] = Field(default_factory=list)
    strict_model: Switch = False


class SubagentShape(Shape):
    """`subagent`: what holds for every agent's subagents where the agent itself says nothing."""

    model: Annotated[OverlayModelShape | None, BeforeValidator(as_mapping)] = None


class HermesEngineShape(Shape):
    """`engines.hermes`: where hermes-agent is installed."""

    python: PathText | None = None


class EnginesShape(Shape):
    """`engines`: what the gateway needs to know of engines other than its own."""

    hermes: HermesEngineShape = Field(default_factory=HermesEngineShape)


class OurKeys(Shape):
    """The root keys that are ours, and those of Hermes' that decide the same things."""

    default_agent: str | None = None
    agents: dict[str, AgentShape] = Field(default_factory=dict)
    subagent: SubagentShape = Field(default_factory=SubagentShape)
    egress: EgressShape = Field(default_factory=EgressShape)
    engines: EnginesShape = Field(default_factory=EnginesShape)
    gateway: GatewayShape = Field(default_factory=GatewayShape)
    multiplex_profiles: Switch | None = None
    group_sessions_per_user: Switch = True
    thread_sessions_per_user: Switch = False
    max_concurrent_sessions: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_as_most)] = PLACES
