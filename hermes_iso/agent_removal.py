"""Remove an agent from a home: what the config says of it goes, its own home stays, with a mark.

A profile with that mark is an agent again only when the config names it; otherwise `serve: all` would find it at once.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.config.edit import Edit, edited
from hermes_iso.config.known import REMOVED, normal_name
from hermes_iso.config.load import load_config
from hermes_iso.config.references import without_agent
from hermes_iso.config.schema import MAIN
from hermes_iso.config_file import open_config
from hermes_iso.errors import UsageError
from hermes_iso.home_lock import DIRECTORY

_MARK = "The agent of this home was removed from the gateway's config. `hermes-iso agent add` takes it back.\n"


@dataclass(frozen=True, slots=True)
class Removal:
    """An agent that is to be removed: `named` says where else the config names it, each with its line; `home` is kept.

    content: the config.yaml that this was planned for.
    """

    agent: str
    home: Path
    named: tuple[str, ...]
    edits: tuple[Edit, ...] = field(repr=False)
    content: bytes | None = field(repr=False)


def plan_removal(home: Path, environ: Mapping[str, str], written: str) -> Removal:
    """Return what removing an agent takes. Raises UsageError when there is none, or it can't be removed, ConfigError."""
    name = normal_name(written)
    if name == MAIN:
        raise UsageError("Agent main can't be removed: it is the root home itself. gateway.serve can leave it out.")
    with open_config(home) as file:
        config = load_config(home, environ)
        agent = config.agents.get(name)
        if agent is None and name not in config.not_served:
            raise UsageError(f"There is no agent {written[:80]!r} in {home}. There are: {', '.join(config.agents)}.")
        if name == config.default_agent:
            raise UsageError(f"Agent {name} gets what no route takes: set default_agent to another agent first.")
        named, edits = without_agent(file.document(), name)
        place = agent.profile.home if agent is not None else config.home / "profiles" / name
        return Removal(name, place, named, edits, file.content)


def remove_agent(home: Path, environ: Mapping[str, str], removal: Removal) -> None:
    """Take an agent out of the config, as planned; its home stays, with a mark.

    Raises UsageError, also when the config was changed since, ConfigError; then nothing has changed.
    """
    with open_config(home) as file:
        if file.content != removal.content:
            raise UsageError(f"{file.path} was changed meanwhile: nothing was removed, try again.")
        text = edited(file.text, removal.edits, str(file.path))
        config = load_config(home, environ, text=text)
        mark = config.home / "profiles" / removal.agent / REMOVED
        if mark.parent.is_dir():
            mark.write_text(_MARK, encoding="utf-8")
        try:
            if removal.edits:
                file.replace(text)
        except BaseException:
            mark.unlink(missing_ok=True)
            raise


def delete_home(home: Path, removal: Removal) -> None:
    """Delete the home of a removed agent and the gateway's records of it. Raises UsageError when that fails half way."""
    try:
        for place in (removal.home, home / DIRECTORY / "agents" / removal.agent):
            if place.is_dir():
                gone = place.with_name(f".removed-{secrets.token_hex(6)}")
                place.rename(gone)
                shutil.rmtree(gone)
    except OSError as error:
        raise UsageError(f"{error.filename} can't be deleted ({error.strerror}): delete it by hand.") from error
