"""Engines: which tools each of the loops that can take a turn has, and what those need of a sandbox; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from hermes_iso.hermes.state_files import STATE_FILES
from hermes_iso.profiles import HERMES, SOUL
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

STATE_DIRECTORIES = ("logs", "image_cache", "audio_cache", "pairing", "checkpoints")
"""What the engine keeps at the top of its home beside its state files; those that the agent has anyhow are not among them."""
MODEL_URL = "http://model.local/v1"
CONFIG = f"{HERMES}/config.yaml"


@dataclass(frozen=True, slots=True)
class HermesAgent:
    """What the config says of an agent whose engine is hermes-agent, whatever its sessions say besides.

    python: the interpreter. model, api_mode: of the agent's own model. persona: its SOUL.md; empty leaves it Hermes' own.
    """

    python: str
    model: str
    api_mode: str
    max_iterations: int = 90
    persona: str = ""


def spoken(api_mode: str) -> str:
    """Return how a model is spoken to inside: the built-in one takes the same as most."""
    return "chat_completions" if api_mode == "offline" else api_mode


def tools_of(engine: Engine) -> Tools:
    """Return the tools that an engine has, by their names."""
    return HERMES_TOOLS if engine == "hermes" else TOOLS


def with_hermes(confinement: Confinement, hermes: HermesAgent, *, soul: bool = True) -> Confinement:
    """Return a confinement in which hermes-agent takes the turns: its interpreter, its state, its model.

    soul: whether its persona is to be shown as SOUL.md, which an agent that may write that has already.
    """
    settings = {"model": hermes.model, "api_mode": hermes.api_mode, "max_iterations": hermes.max_iterations}
    links = [(f"{HERMES}/{name}", f".agent/{name}") for name in (*(file.name for file in STATE_FILES), *STATE_DIRECTORIES)]
    files = {file.target: file for file in confinement.files}
    config = files[CONFIG]
    files[CONFIG] = replace(config, content=config.content + _model_section(hermes.model))
    if soul and hermes.persona:
        files[SOUL] = DataFile(SOUL, hermes.persona.encode())
    return replace(
        confinement,
        python=hermes.python,
        engine="hermes",
        engine_settings=json.dumps(settings),
        files=tuple(files.values()),
        symlinks=(*confinement.symlinks, *links),
    )


def _model_section(model: str) -> bytes:
    """Return what a generated config.yaml says of the one model that there is inside; a text in JSON is one in YAML too."""
    section = {"default": model, "provider": "custom", "base_url": MODEL_URL}
    return f"model: {json.dumps(section)}\n".encode()
