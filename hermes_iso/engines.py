"""Engines: which tools each of the loops that can take a turn has, and what those need of a sandbox; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import yaml

from hermes_iso.profile_files import YAML_LOADER
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
_NO_MODEL = {"provider": "custom", "base_url": "http://model.local/v1", "api_key": "none", "api_mode": "chat_completions"}
"""What stands for a model where none is told of: one that answers nothing."""


def tools_of(engine: Engine) -> Tools:
    """Return the tools that an engine has, by their names."""
    return HERMES_TOOLS if engine == "hermes" else TOOLS


def with_hermes(
    confinement: Confinement, *, python: str, sections: Mapping[str, Any], max_iterations: int, platforms: Iterable[str] = ()
) -> Confinement:
    """Return a confinement in which hermes-agent takes the turns: its interpreter, its state, its models.

    sections: what its config.yaml says of models, see `hermes.model_inside`; none where no turn is taken.
    platforms: where its messages come from, the usual one first.
    """
    platform = next(iter(platforms), "api_server")
    main = {"default": "", **_NO_MODEL, **sections.get("model", {})}
    settings = {"model": main["default"], **{name: main[name] for name in _NO_MODEL}}
    settings |= {"max_iterations": max_iterations, "platform": platform}
    links = [(f"{HERMES}/{name}", f".agent/{name}") for name in (*STATE_FILES, *STATE_DIRECTORIES)]
    return replace(
        confinement,
        python=python,
        engine="hermes",
        engine_settings=json.dumps(settings),
        files=tuple(
            _with_models(file, sections) if file.target == f"{HERMES}/config.yaml" else file for file in confinement.files
        ),
        symlinks=(*confinement.symlinks, *links),
    )


def _with_models(file: DataFile, sections: Mapping[str, Any]) -> DataFile:
    """Return the generated config.yaml with what it says of models."""
    return replace(file, content=_merged(file.content, json.dumps(sections)))


@lru_cache(maxsize=256)
def _merged(config: bytes, sections: str) -> bytes:
    """Return a generated config.yaml with other sections in it, these given as JSON."""
    data = {**(yaml.load(config, Loader=YAML_LOADER) or {}), **json.loads(sections)}  # noqa: S506  # a safe one, on our own text
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode("utf-8")
