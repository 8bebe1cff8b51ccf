"""Engines: which tools each of the loops that can take a turn has, and what those need of a sandbox; pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import yaml

from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.hermes.profile import HermesProfile
from hermes_iso.hermes.state_files import STATE_FILES
from hermes_iso.profile_files import YAML_LOADER
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
_BY_SHELL = frozenset({"read_file", "write_file", "patch", "search_files"})
"""Tools that Hermes does by commands of its own."""
_STAY_INSIDE = frozenset(
    {"clarify", "delegate_task", "memory", "process", "session_search", "skill_manage", "skill_view", "skills_list", "todo"}
)
"""Tools that reach no host but the model's; any other may."""
HERMES_TOOLS: Tools = {
    name: ToolSpec(
        name,
        "",
        {},
        executes=name in _EXECUTE | _BY_SHELL or (name in TOOLS and TOOLS[name].executes),
        writes=name in _WRITE or (name in TOOLS and TOOLS[name].writes),
        asks_hosts=name not in _STAY_INSIDE,
    )
    for name in sorted(KNOWN_TOOLS - _OURS)
}
"""hermes-agent's own tools, which describe themselves to the model: only what they need is told here."""

STATE_DIRECTORIES = ("logs", "image_cache", "audio_cache", "pairing", "checkpoints")
"""What the engine keeps at the top of its home beside its state files; those that the agent has anyhow are not among them."""
_NO_MODEL = {"provider": "custom", "base_url": "http://model.local/v1", "api_key": "none", "api_mode": "chat_completions"}
"""What stands for a model where none is told of: one that answers nothing."""
CONFIG = f"{HERMES}/config.yaml"


@dataclass(frozen=True, slots=True)
class HermesAgent:
    """What the config says of an agent whose engine is hermes-agent, whatever its sessions say besides.

    python: the interpreter. model: what the config calls the agent's own model. persona: its SOUL.md; empty: Hermes' own.
    profile: where Hermes finds what that means. sections: what the config.yaml inside says of models, once that was found.
    asked: the model of this turn as an AIAgent takes it, where a session chose another.
    """

    python: str
    model: str
    max_iterations: int = 90
    persona: str = ""
    profile: HermesProfile | None = None
    sections: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    asked: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def resolving(self, names: Mapping[str, Endpoint]) -> HermesAgent:
        """Return it with the operator's resolver map."""
        return replace(self, profile=self.profile and replace(self.profile, resolve=names))

    @property
    def own(self) -> dict[str, str]:
        """The agent's own model as an AIAgent takes it."""
        main = {"default": self.model, **_NO_MODEL, **self.sections.get("model", {})}
        return {"model": main["default"], **{name: main[name] for name in _NO_MODEL}}


def tools_of(engine: Engine) -> Tools:
    """Return the tools that an engine has, by their names."""
    return HERMES_TOOLS if engine == "hermes" else TOOLS


def with_hermes(confinement: Confinement, hermes: HermesAgent, *, soul: bool = True) -> Confinement:
    """Return a confinement in which hermes-agent takes the turns: its interpreter, its state, its model.

    soul: whether its persona is to be shown as SOUL.md, which an agent that may write that has already.
    """
    settings = {**hermes.own, "max_iterations": hermes.max_iterations}
    links = [(f"{HERMES}/{name}", f".agent/{name}") for name in (*(file.name for file in STATE_FILES), *STATE_DIRECTORIES)]
    files = {file.target: file for file in confinement.files}
    config = files[CONFIG]
    files[CONFIG] = replace(config, content=_merged(config.content, json.dumps(hermes.sections)))
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


@lru_cache(maxsize=256)
def _merged(config: bytes, sections: str) -> bytes:
    """Return a generated config.yaml with other sections in it, these given as JSON."""
    data = {**(yaml.load(config, Loader=YAML_LOADER) or {}), **json.loads(sections)}  # noqa: S506  # a safe one, on our own text
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True).encode("utf-8")
