"""The sections of Hermes' that are read here, of the root home and of each profile, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from hermes_iso.config.shapes import Open, PathText, Texts, as_mapping, or_empty


class ModelShape(Open):
    """`model`: which model answers."""

    default: str | None = None
    model: str | None = None
    provider: str | None = None
    base_url: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    api_mode: str | None = None
    headers: dict[str, str] = Field(default_factory=dict, repr=False)


class TerminalShape(Open):
    """`terminal`: where a turn starts."""

    cwd: PathText | None = None


class HermesAgentShape(Open):
    """`agent`: how long a turn may go on, and what it may never use."""

    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    disabled_toolsets: Texts | None = None


class HermesKeys(Open):
    """What is read of each home's config.yaml, the root's and a profile's, as Hermes reads it."""

    model: Annotated[ModelShape | None, BeforeValidator(as_mapping)] = None
    terminal: TerminalShape = Field(default_factory=TerminalShape)
    agent: HermesAgentShape = Field(default_factory=HermesAgentShape)
    platform_toolsets: Annotated[dict[str, Texts], BeforeValidator(or_empty)] = Field(default_factory=dict)
    fallback_providers: Any = None
    fallback_model: Any = None
    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    timezone: str | None = None
