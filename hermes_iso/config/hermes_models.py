"""Where the models of agents of engine hermes are found: nothing is resolved here, because only Hermes itself can."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hermes_iso.agents import ModelSettings
from hermes_iso.config.source import Names, Source
from hermes_iso.errors import UsageError
from hermes_iso.held_names import HeldNames
from hermes_iso.hermes.profile import HermesProfile

__all__ = ["HermesProfile", "hermes_model", "hermes_model_named", "hermes_profile"]

_MODEL_NAME = re.compile(r"[\w.:/@+-]{1,200}", re.ASCII)


def hermes_profile(source: Source, root: Source, *, python: str, names: Names) -> HermesProfile | None:
    """Return where an agent's models are found; None for one of another engine. names: of its keys."""
    if source.overlay.engine != "hermes":
        return None
    held = HeldNames()
    return HermesProfile(
        id=source.id,
        home=source.home,
        root=root.home,
        python=Path(python),
        said=_said(source),
        environment={name: value for name, value in names.layers[-1].items() if name in held},
        model=_shown_model(source, root),
    )


def hermes_model(name: str) -> ModelSettings:
    """Return what stands for a model that only Hermes can resolve."""
    return ModelSettings("hermes", name, "", "chat_completions")


def hermes_model_named(name: str) -> ModelSettings:
    """Return what stands for a model that somebody names in a chat; the next turn says if there is none. Raises UsageError."""
    if not _MODEL_NAME.fullmatch(name):
        raise UsageError("A model is called by its name, as in provider/name: letters, digits and ._:/@+- only.")
    return hermes_model(name)


def _said(source: Source) -> Mapping[str, Any]:
    """Return what the agent's overlay says of its model, by Hermes' names."""
    shape, beside = source.overlay.model, source.overlay.provider
    said = shape.model_dump(exclude_defaults=True, exclude_none=True) if shape else {}
    named = said.pop("model", None) or said.get("default")
    said = {**said, **({"default": named} if named else {}), **({"provider": beside} if beside else {})}
    if "headers" in said:
        said["default_headers"] = said.pop("headers")
    return said


def _shown_model(source: Source, root: Source) -> str:
    """Return what the nearest config calls the main model, for people."""
    for shape in (source.overlay.model, source.keys.model, root.keys.model):
        if shape is not None and (name := (shape.default or shape.model or "").strip()):
            return name
    return ""
