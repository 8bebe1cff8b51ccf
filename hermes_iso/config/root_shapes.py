"""The shapes of the root config's own keys: agents, routes, the gateway and its API, as strict pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from hermes_iso.config.agent_shapes import AgentShape
from hermes_iso.config.route_shapes import RouteShape
from hermes_iso.config.shapes import Open, Shape, Switch, Texts

EVERYBODY = "*"
"""In `gateway.serve`: all agents that the home has."""


def _as_served(value: Any) -> Any:
    """Turn `serve: all` into a list with the one entry that can't be a name."""
    return [EVERYBODY] if value == "all" else value


class GatewayShape(Shape):
    """`gateway`: who is served, and how long a hook may take. Hermes' own settings beside these are accepted and ignored."""

    serve: Annotated[Texts | None, BeforeValidator(_as_served)] = None
    unmatched: Literal["default", "reject"] = "default"
    multiplex_profiles: Switch | None = None
    hook_timeout: Annotated[float, Field(gt=0, le=60)] = 2.0


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
    cors_origins: Texts = Field(default_factory=list)
    strict_model: Switch = False


class OurKeys(Shape):
    """The root keys that are ours, and those of Hermes' that decide the same things."""

    default_agent: str | None = None
    agents: dict[str, AgentShape] = Field(default_factory=dict)
    routes: list[RouteShape | None] = Field(default_factory=list)
    gateway: GatewayShape = Field(default_factory=GatewayShape)
    multiplex_profiles: Switch | None = None
    group_sessions_per_user: Switch = True
    thread_sessions_per_user: Switch = False
