"""Add an agent to a home: its overlay goes into config.yaml, checked before it counts, and its own home is made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_iso.config.edit import Append, Edit, Set, edited
from hermes_iso.config.known import REMOVED, name_complaint, normal_name
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import MAIN, Config
from hermes_iso.config_file import open_config
from hermes_iso.errors import UsageError
from hermes_iso.profile_making import make_profile
from hermes_iso.toolsets import TOOL_PROFILES, tools_named

_NOT_CLONED = ("default", "home_dir", "shared_paths", "messages")
"""What of an overlay is about one agent among others, and so is not cloned."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a new agent shall be. `tools`: a tool profile, or names with commas between them."""

    name: str
    model: str | None = None
    tools: str | None = None
    clone_from: str | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """An agent that was added. made: its home is new. left_out: what of a source's overlay was not cloned."""

    agent: str
    home: Path
    made: bool
    left_out: tuple[str, ...] = ()


def add_agent(home: Path, environ: Mapping[str, str], wish: Wish) -> Added:
    """Add an agent to a home: its overlay, and its own home unless a removed agent of that name left one.

    Raises UsageError, ConfigError with every reason why the config would be wrong; then nothing has changed.
    """
    name = _checked_name(wish.name)
    with open_config(home) as file:
        config = load_config(home, environ)
        where = config.home / "profiles" / name
        if name in config.agents or name in config.not_served:
            raise UsageError(f"There is an agent {name} already: hermes-iso agent show {name} --home {home}")
        document = file.document()
        overlay, left_out = _overlay(config, document.data.get("agents") or {}, wish)
        edits: list[Edit] = [Set(("agents", name), overlay)]
        if isinstance(document.get("gateway", "serve"), list):
            edits.append(Append(("gateway", "serve"), name))
        text = edited(file.text, edits, str(file.path))
        load_config(home, environ, text=text)
        made = _home_made(config, where, wish)
        try:
            load_config(home, environ, text=text)  # once more, for what a cloned home says
            file.replace(text)
        except BaseException:
            if made:
                shutil.rmtree(where)
            raise
        (where / REMOVED).unlink(missing_ok=True)
        return Added(name, where, made, left_out)


def _checked_name(written: str) -> str:
    """Return a name as an agent can have it. Raises UsageError."""
    name = normal_name(written)
    if name == MAIN:
        raise UsageError("There is an agent main already: it is the root home itself.")
    complaint = name_complaint(name)
    if complaint:
        raise UsageError(complaint)
    return name


def _overlay(config: Config, overlays: Mapping[str, Any], wish: Wish) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the new agent's overlay, and the keys of the source's that it does not get."""
    overlay: dict[str, Any] = {}
    left_out: list[str] = []
    if wish.clone_from is not None:
        source = _source(config, wish.clone_from)
        found = next((value for key, value in overlays.items() if normal_name(key) == source), None) or {}
        overlay = {key: value for key, value in found.items() if key not in _NOT_CLONED}
        left_out = [key for key in found if key in _NOT_CLONED]
        sandbox = overlay.get("sandbox") or {}
        if sandbox.get("writable"):
            overlay["sandbox"] = {key: value for key, value in sandbox.items() if key != "writable"}
            left_out.append("sandbox.writable")
    if wish.model is not None:
        overlay.pop("provider", None)
        overlay["model"] = wish.model
    if wish.tools is not None:
        names = [name.strip() for name in wish.tools.split(",")]
        alone = len(names) == 1 and (names[0] in TOOL_PROFILES or not tools_named(names[0]))
        overlay["tools"] = names[0] if alone else names
    return overlay, tuple(left_out)


def _source(config: Config, written: str) -> str:
    """Return the name of the agent to clone. Raises UsageError."""
    name = normal_name(written)
    if name not in config.agents:
        why = config.not_served.get(name, f"there are: {', '.join(config.agents)}")
        raise UsageError(f"Agent {written[:80]!r} can't be cloned: {why}.")
    return name


def _home_made(config: Config, where: Path, wish: Wish) -> bool:
    """Make the home of a new agent, unless one of its name is there; say whether it was made. Raises UsageError."""
    if where.is_dir() and not where.is_symlink():
        if wish.clone_from is not None:
            raise UsageError(f"{where} is there already, and a home that is there is not filled: leave out --clone-from.")
        return False
    source = _source(config, wish.clone_from) if wish.clone_from is not None else None
    make_profile(where, where.name, config.agents[source].profile if source else None, of_root=source == MAIN)
    return True
