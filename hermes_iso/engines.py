"""Engines: which tools each of the loops that can take a turn has, and what those need of a sandbox; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from hermes_iso.profiles import HERMES
from hermes_iso.tool_spec import ToolSpec
from hermes_iso.tools import KNOWN_TOOLS, TOOLS
from hermes_iso_sandbox.confinement import Confinement, DataFile

Tools: TypeAlias = Mapping[str, ToolSpec]
Engine: TypeAlias = Literal["native", "hermes"]

_EXECUTE = frozenset({"computer_use"}) | {name for name in KNOWN_TOOLS if name.startswith("browser_")}
_WRITE = frozenset({"skill_manage"})
_OURS = frozenset({"send_message"})
"""Tools that the gateway has and hermes-agent has not, or not in a form that a sandbox could hold."""
HERMES_TOOLS: Tools = {
    name: TOOLS.get(name) or ToolSpec(name, "", {}, executes=name in _EXECUTE, writes=name in _WRITE)
    for name in sorted(KNOWN_TOOLS - _OURS)
}
"""hermes-agent's own tools, which describe themselves to the model: only what they need is told here."""
ALL_TOOLS: Tools = {**HERMES_TOOLS, **TOOLS}

STATE_FILES = (
    "state.db",
    "response_store.db",
    "kanban.db",
    "projects.db",
    "verification_evidence.db",
    "memory_store.db",
    "processes.json",
    ".skills_prompt_snapshot.json",
)
"""What the engine keeps at the top of its home."""
STATE_DIRECTORIES = ("logs", "image_cache", "audio_cache", "pairing", "checkpoints")
"""The same for directories; those that the agent has anyhow are not among them."""
MODEL_URL = "http://model.local/v1"


def tools_of(engine: Engine) -> Tools:
    """Return the tools that an engine has, by their names."""
    return HERMES_TOOLS if engine == "hermes" else TOOLS


def with_hermes(
    confinement: Confinement, *, python: str, model: str, api_mode: str, max_iterations: int, platforms: Iterable[str] = ()
) -> Confinement:
    """Return a confinement in which hermes-agent takes the turns: its interpreter, its state, its model.

    model, api_mode: of the model that the turn's door leads to. platforms: where its messages come from, the usual one first.
    """
    platform = next(iter(platforms), "api_server")
    settings = {"model": model, "api_mode": api_mode, "max_iterations": max_iterations, "platform": platform}
    links = [(f"{HERMES}/{name}", f".agent/{name}") for name in (*STATE_FILES, *STATE_DIRECTORIES)]
    return replace(
        confinement,
        python=python,
        engine="hermes",
        engine_settings=json.dumps(settings),
        files=tuple(_with_model(file, model) if file.target == f"{HERMES}/config.yaml" else file for file in confinement.files),
        symlinks=(*confinement.symlinks, *links),
    )


def _with_model(file: DataFile, model: str) -> DataFile:
    """Return the generated config.yaml with the one model that there is inside; a name as JSON is one as YAML too."""
    section = {"default": model, "provider": "custom", "base_url": MODEL_URL}
    return replace(file, content=file.content + f"model: {json.dumps(section)}\n".encode())
