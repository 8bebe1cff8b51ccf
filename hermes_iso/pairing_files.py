"""read_hermes_pairing: whom Hermes' own gateway had let in, from the files that it keeps that in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hermes_iso.admission import Paired
from hermes_iso.profile_files import UnreadableError, read_bounded

_APPROVED = "-approved.json"
_MOST = 10_000
_ID_CHARS = 200


def read_hermes_pairing(home: Path, agent: str, *, root: bool) -> list[Paired]:
    """Return the people that Hermes let in for the profile in `home`; `root`: it is the root home, which has other places.

    A file that can't be read, or holds something else, lets nobody in.
    """
    places = [home / "platforms" / "pairing", home / "pairing", home / "profiles" / "default" / "pairing"]
    found: dict[tuple[str, str], Paired] = {}
    for place in places if root else [home / "pairing"]:
        for platform, people in _files(place):
            for user_id, about in list(people.items())[:_MOST]:
                person = _person(agent, platform, user_id, about)
                if person is not None:
                    found.setdefault((platform, person.user_id), person)
    return sorted(found.values())


def _files(place: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the platform and the contents of each list of people in a directory."""
    try:
        names = sorted(entry.name for entry in os.scandir(place) if entry.name.endswith(_APPROVED) and entry.is_file())
    except OSError:
        return
    for name in names:
        try:
            people = json.loads(read_bounded(place / name) or b"{}")
        except (UnreadableError, ValueError, RecursionError):
            continue
        if isinstance(people, dict):
            yield name.removesuffix(_APPROVED).lower(), people


def _person(agent: str, platform: str, user_id: str, about: Any) -> Paired | None:
    """Return one person, None for an entry that is none."""
    if not user_id.strip() or len(user_id) > _ID_CHARS or not isinstance(about, dict):
        return None
    at = about.get("approved_at")
    name = str(about.get("user_name") or "")[:_ID_CHARS]
    return Paired(agent, platform, user_id.strip(), name, float(at) if isinstance(at, int | float) else 0.0)
