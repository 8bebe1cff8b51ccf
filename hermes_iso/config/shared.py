"""From `agents.<id>.shared_paths` to the directories that agents have in common, by the word of every one of them.

An entry counts when each agent that it names has one of the same name and path that names it in return. All who share a
directory have to name each other: else two that want nothing of each other would meet through a third.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from hermes_iso.config.between_shapes import SharedPathShape
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.known import NAME, normal_name
from hermes_iso.config.places import Places
from hermes_iso.config.problems import key_text, numbered
from hermes_iso.config.shown import Shown
from hermes_iso.config.yaml_text import KeyPath
from hermes_iso.profiles import SHARED


@dataclass(frozen=True, slots=True)
class _Share:
    """One entry that is right by itself. spelled: its absolute path as written; real: with symlinks resolved."""

    agent: str
    at: KeyPath
    name: str
    spelled: str
    real: str
    mode: str
    partners: tuple[str, ...]


def read_shared(home_map: HomeMap) -> dict[str, list[Shown]]:
    """Return the shared directories of every agent that has some. What is wrong is noted in the map; then there are none."""
    before = len(home_map.problems.problems)
    shares = list(_shares(home_map))
    for share in shares:
        _check_partners(home_map, share)
    for share, other in permutations(shares, 2):
        _check_pair(home_map, share, other)
    found: dict[str, list[Shown]] = {}
    if len(home_map.problems.problems) > before:
        return found
    document = home_map.document
    for share in shares:
        given = (document.file, document.line(share.at), key_text(share.at))
        found.setdefault(share.agent, []).append(
            Shown(
                share.agent,
                *given,
                share.spelled,
                share.real,
                f"{SHARED}/{share.name}",
                share.mode == "rw",
                frozenset(share.partners),
            )
        )
    return found


def _shares(home_map: HomeMap) -> Iterator[_Share]:
    """Yield the entries that are right by themselves."""
    homes = {agent: str(home) for agent, home in home_map.homes.items()}
    workspaces = {agent: os.path.realpath(os.path.join(home, "workspace")) for agent, home in homes.items()}
    places = Places(homes["main"], homes, workspaces)
    for agent, (overlay, above) in home_map.overlays.items():
        names: set[str] = set()
        for index, shape in enumerate(overlay.shared_paths):
            at = (*above, "shared_paths", index)
            if shape is not None:
                share = _share(home_map, agent, at, shape, places)
                if shape.name in names:
                    _complain(home_map, (*at, "name"), f"{shape.name!r} is the name of two shared paths; give each its own")
                elif share:
                    yield share
                names.add(shape.name)


def _share(home_map: HomeMap, agent: str, at: KeyPath, shape: SharedPathShape, places: Places) -> _Share | None:
    """Return an entry, or None where it is wrong by itself."""
    before = len(home_map.problems.problems)
    if not NAME.match(shape.name):
        message = f"{shape.name[:80]!r} can't be a name; use up to 64 of a-z, 0-9, _ and -, the first a letter or digit"
        _complain(home_map, (*at, "name"), message)
    partners = _partners(home_map, agent, (*at, "with"), shape.partners)
    home = places.homes[agent]
    inside = {"~": os.path.join(home, "home"), ".": places.workspaces[agent]}
    start, _, rest = shape.path.partition("/")
    spelled = os.path.normpath(os.path.join(inside["."], inside.get(start, start + "/"), rest))
    real = os.path.realpath(spelled)
    complaint = places.complaint(real, agent)
    if complaint and any(not places.complaint(real, partner) for partner in partners):
        complaint = ""  # it lies in a partner's home, and the partner names it too
    if not complaint and not os.path.isdir(real):
        found = "is not a directory; name one" if os.path.lexists(real) else "does not exist; make it: mkdir -p "
        complaint = f"{shape.path} {found}" + ("" if os.path.lexists(real) else shlex.quote(spelled))
    if complaint:
        _complain(home_map, (*at, "path"), complaint)
    if len(home_map.problems.problems) > before:
        return None
    return _Share(agent, at, shape.name, spelled, real, shape.mode, partners)


def _partners(home_map: HomeMap, agent: str, at: KeyPath, written: Sequence[str]) -> tuple[str, ...]:
    """Return the agents that an entry names, each once."""
    partners: list[str] = []
    if not written:
        _complain(home_map, at, "names nobody; write the agents to share with, or remove the entry")
    for index, text in numbered(written):
        name = normal_name(text)
        if name == agent:
            _complain(home_map, (*at, index), "is the agent itself; remove it")
        elif home_map.must_exist(text, (*at, index)):
            partners.append(name)
    return tuple(dict.fromkeys(partners))


def _check_partners(home_map: HomeMap, share: _Share) -> None:
    """Note each agent that an entry names and that has no entry of that name."""
    for partner in share.partners:
        overlay, _ = home_map.overlays.get(partner, (None, ()))
        written = overlay.shared_paths if overlay else []
        if not any(shape and shape.name == share.name for shape in written):
            entry = f"{{name: {share.name}, path: {share.real}, mode: ro, with: [{share.agent}]}}"
            message = f"agent {partner} does not share {share.name}; add {entry} to agents.{partner}.shared_paths"
            _complain(home_map, (*share.at, "with"), message)


def _check_pair(home_map: HomeMap, share: _Share, other: _Share) -> None:
    """Note what two entries disagree about, where the first is written."""
    document = home_map.document
    where = f"{key_text(other.at)} in {document.file}:{document.line(other.at)}"
    if share.agent == other.agent:
        if share.real == other.real and share.at > other.at:
            _complain(home_map, (*share.at, "path"), f"{share.real} is shared twice ({where}); keep one of them")
    elif share.name == other.name and other.agent in share.partners and share.real != other.real:
        message = f"{share.real} is not what agent {other.agent} shares as {share.name}: {other.real} ({where}); name one path"
        _complain(home_map, (*share.at, "path"), message)
    elif share.real == other.real and other.agent not in share.partners:
        message = f"leaves out {other.agent}, who shares this directory too ({where}); add {other.agent}"
        _complain(home_map, (*share.at, "with"), message)


def _complain(home_map: HomeMap, at: KeyPath, message: str) -> None:
    home_map.document.complain(home_map.problems, at, message=message)
