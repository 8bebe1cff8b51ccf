"""The shape of `agents:`, the overlays on the homes of agents, as strict pydantic models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from hermes_iso.config.between_shapes import MessagesShape, SharedPathShape
from hermes_iso.config.egress_shapes import AgentEgressShape
from hermes_iso.config.hermes_shapes import ModelShape
from hermes_iso.config.shapes import Paths, PathText, Seconds, Shape, Switch, Texts, as_mapping, as_tools, not_nothing
from hermes_iso.config.sizes import size_reader
from hermes_iso_sandbox.confinement import Limits

__all__ = [
    "AgentShape",
    "MessagesShape",
    "OverlayModelShape",
    "SandboxShape",
    "SharedPathShape",
    "SubagentsShape",
    "ToolsShape",
]


class OverlayModelShape(ModelShape):
    """`agents.<id>.model`: ours, so nothing else may stand there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class SandboxShape(Shape):
    """`agents.<id>.sandbox`: how the agent's turns are confined."""

    isolation: Literal["namespace"] = "namespace"
    memory: Annotated[int, BeforeValidator(size_reader("32M"))] = Field(default="512M", validate_default=True)
    pids: Annotated[int, Field(ge=16, le=1 << 20)] = 128
    cpu: Annotated[float, Field(ge=0.01, le=1024)] = 1.0
    disk: Annotated[int, BeforeValidator(size_reader("1M"))] = Field(default="2G", validate_default=True)
    inodes: Annotated[int, Field(ge=100, le=1 << 40)] = 200_000
    turn_timeout: Seconds = 600.0
    background_timeout: Seconds = 3600.0
    writable: Paths = Field(default_factory=list)
    readable: Paths = Field(default_factory=list)
    path: Paths = Field(default_factory=list)
    env: Texts = Field(default_factory=list)

    def limits(self) -> Limits:
        """Return the limits of the sandbox. One that the config writes out must hold, a default holds where it can."""
        return Limits(
            memory=self.memory,
            processes=self.pids,
            cpu=self.cpu,
            disk=self.disk,
            inodes=self.inodes,
            required=frozenset({"memory", "pids", "cpu", "disk", "inodes"} & self.model_fields_set),
        )


class ToolsShape(Shape):
    """`agents.<id>.tools`: what its agent's layer of the tool policy says, in this order."""

    profile: str | None = None
    also_allow: Annotated[Texts, BeforeValidator(not_nothing)] = Field(default_factory=list)
    allow: Annotated[Texts | None, BeforeValidator(not_nothing)] = None
    deny: Annotated[Texts, BeforeValidator(not_nothing)] = Field(default_factory=list)


class SubagentsShape(Shape):
    """`agents.<id>.subagents`: how far the agent may delegate, and to which model."""

    max_depth: Annotated[int, Field(ge=0, le=4)] = 1
    max_children: Annotated[int, Field(ge=0, le=64)] = 5
    model: Annotated[OverlayModelShape | None, BeforeValidator(as_mapping)] = None


class ValueFromShape(Shape):
    """`agents.<id>.secrets.<NAME>.value_from`: where the value comes from, one of three."""

    file: str | None = None
    command: Annotated[Texts | None, BeforeValidator(not_nothing)] = None
    env: str | None = None


class SecretShape(Shape):
    """`agents.<id>.secrets.<NAME>`: a credential that is put into requests outside of the sandbox."""

    host: str
    header: str = "Authorization"
    format: str | None = None
    value_from: ValueFromShape


class AgentShape(Shape):
    """`agents.<id>`: an overlay on the agent's home."""

    default: Switch = False
    model: Annotated[OverlayModelShape | None, BeforeValidator(as_mapping)] = None
    provider: str | None = None
    personality: str | None = None
    home_dir: PathText | None = None
    engine: Literal["native", "hermes"] = "native"
    max_concurrent: Annotated[int | None, Field(ge=1, le=10_000)] = None
    resume: Literal["tell", "rerun"] = "tell"
    admins: Texts = Field(default_factory=list)
    ask_timeout: Seconds = 900.0
    tools: Annotated[ToolsShape | None, BeforeValidator(as_tools)] = None
    subagents: SubagentsShape = Field(default_factory=SubagentsShape)
    allow_soul_edit: Switch = False
    models: Annotated[Texts | None, BeforeValidator(not_nothing)] = None
    secrets: dict[str, SecretShape] = Field(default_factory=dict)
    egress: AgentEgressShape = Field(default_factory=AgentEgressShape)
    sandbox: SandboxShape = Field(default_factory=SandboxShape)
    shared_paths: list[SharedPathShape | None] = Field(default_factory=list)
    messages: MessagesShape = Field(default_factory=MessagesShape)
