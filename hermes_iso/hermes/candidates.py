"""Which agents of a home `adopt` takes over, and why not the others; reads only.

A profile whose own files are wrong is reported and left, and the others are not kept waiting for it. A mistake in the root's
config.yaml is everybody's: nothing can be written into it then.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hermes_iso.config.known import normal_name
from hermes_iso.config.schema import MAIN
from hermes_iso.config.yaml_text import Document
from hermes_iso.errors import UsageError
from hermes_iso.hermes.moving import move_complaints, opened
from hermes_iso.hermes.view import HomeView
from hermes_iso.profile_files import UnreadableError, read_bounded

Decision = Literal["adopt", "adopted", "native", "refused"]

_MARKS = ("profile.yaml", "state.db", "auth.json", "cron/jobs.json", "logs/agent.log", ".skills_prompt_snapshot.json")
"""What Hermes makes in a home and this gateway does not."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One agent of a home: what `adopt` does with it, and why where that is nothing."""

    agent: str
    home: Path
    decision: Decision
    reasons: tuple[str, ...] = ()


def find_candidates(view: HomeView, adopted: Mapping[str, object]) -> list[Candidate]:
    """Return every agent of a home, main first. adopted: those that the manifest has."""
    found = []
    for name, home in view.homes.items():
        engine = _engine(view.document, name)
        if engine == "native" or (engine is None and _is_ours(view.document, name, home)):
            why = "agents.<id>.engine says native" if engine else "made by hermes-iso, not by Hermes"
            found.append(Candidate(name, home, "native", (f"{why}; stays as it is",)))
        elif engine == "hermes" and name in adopted:
            found.append(Candidate(name, home, "adopted"))
        else:
            reasons = tuple([f"{view.engine.trouble}."] if view.engine.trouble else []) + _complaints(home)
            found.append(Candidate(name, home, "refused" if reasons else "adopt", reasons))
    return found


def _engine(document: Document, name: str) -> str | None:
    overlays = document.get("agents")
    for key, overlay in (overlays if isinstance(overlays, dict) else {}).items():
        if normal_name(key) == name and isinstance(overlay, dict):
            engine = overlay.get("engine")
            return engine if isinstance(engine, str) else None
    return None


def _is_ours(document: Document, name: str, home: Path) -> bool:
    """Say whether this gateway made a home: its config knows the agent, and nothing in the home is of Hermes' making."""
    overlays = document.get("agents")
    known = any(normal_name(key) == name for key in overlays) if isinstance(overlays, dict) else False
    if name == MAIN:
        known = known or document.get("gateway", "serve") is not None
    return known and not any(os.path.lexists(home / mark) for mark in _MARKS) and not _has_version(home)


def _has_version(home: Path) -> bool:
    """Say whether a home's config.yaml has the line that Hermes writes into each."""
    try:
        return b"_config_version" in (read_bounded(home / "config.yaml") or b"")
    except UnreadableError:
        return False


def _complaints(home: Path) -> tuple[str, ...]:
    try:
        with opened(home) as places:
            return tuple(move_complaints(places))
    except (OSError, UsageError) as error:
        return (str(error),)
