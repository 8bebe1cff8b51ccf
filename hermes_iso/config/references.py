"""Where a root config names an agent besides its overlay: what would lead nowhere without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hermes_iso.config.edit import Edit, Remove
from hermes_iso.config.known import normal_name
from hermes_iso.config.problems import key_text
from hermes_iso.config.yaml_text import Document, KeyPath

_ENTRIES = (("routes", "agent"), ("bindings", "agent"))
"""Lists whose entries belong to the agent that this key of theirs names."""
_NAMES: tuple[tuple[str, ...], ...] = (
    ("gateway", "serve"),
    ("platforms", "api_server", "extra", "keys", "*", "agents"),
    ("agents", "*", "messages", "to"),
    ("agents", "*", "messages", "from"),
)
"""Lists of agents' names; `*` is any key."""
_PROFILE_ROUTES: tuple[tuple[str, ...], ...] = (
    ("profile_routes",),
    ("gateway", "profile_routes"),
    ("*", "topic_profiles"),
    ("platforms", "*", "topic_profiles"),
    ("platforms", "*", "extra", "topic_profiles"),
)
"""Hermes' routes: a list of entries with `profile`, or mappings whose innermost values are names."""
_SHARED: tuple[str, ...] = ("agents", "*", "shared_paths")


def without_agent(document: Document, agent: str) -> tuple[tuple[str, ...], tuple[Edit, ...]]:
    """Return where a config names an agent besides its overlay, for people, and the edits that take all of that out of it."""
    overlay = [("agents", key) for key in document.data.get("agents") or () if normal_name(key) == agent]
    found = [path for path in references(document.data, agent) if path[:2] not in overlay]
    named = tuple(f"{key_text(path)} ({document.file}:{document.line(path)})" for path in found)
    return named, tuple(Remove(path) for path in sorted((*found, *overlay), key=_order, reverse=True))


def _order(path: KeyPath) -> list[tuple[int, str]]:
    """Return what sorts the places of one list by number: they are taken away from the end."""
    return [(part, "") if isinstance(part, int) else (-1, part) for part in path]


def references(data: dict[str, Any], agent: str) -> list[KeyPath]:
    """Return the key paths that would have to go with an agent, in the order of the file's sections.

    Whole entries of routes and bindings; single names out of lists of names; a directory that is shared with nobody else.
    """
    found: list[KeyPath] = []
    for root, key in _ENTRIES:
        found += [at for at, entry in _items(data.get(root), (root,)) if _names(_get(entry, key), agent)]
    for pattern in _PROFILE_ROUTES:
        for at, value in _matches(data, pattern):
            found += [below for below, entry in _items(value, at) if _names(_get(entry, "profile"), agent)]
            found += [below for below, leaf in _leaves(value, at) if _names(leaf, agent)]
    for pattern in _NAMES:
        for at, value in _matches(data, pattern):
            found += [below for below, name in _items(value, at) if _names(name, agent)]
    for at, value in _matches(data, _SHARED):
        found += _shares(value, at, agent)
    return found


def _shares(value: Any, at: KeyPath, agent: str) -> Iterator[KeyPath]:
    """Yield the places in a list of shared directories."""
    for below, entry in _items(value, at):
        partners = list(_items(_get(entry, "with"), (*below, "with")))
        own = [place for place, name in partners if _names(name, agent)]
        yield from [below] if own and len(own) == len(partners) else own


def _matches(data: Any, pattern: tuple[str, ...], at: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every place that a pattern of keys leads to, with its value."""
    if not pattern:
        yield at, data
    elif isinstance(data, dict):
        for key in data if pattern[0] == "*" else [pattern[0]] if pattern[0] in data else []:
            yield from _matches(data[key], pattern[1:], (*at, key))


def _items(value: Any, at: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the items of a list with their places."""
    yield from (((*at, index), item) for index, item in enumerate(value if isinstance(value, list) else ()))


def _leaves(value: Any, at: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield the innermost values of nested mappings with their places."""
    for key, below in value.items() if isinstance(value, dict) else ():
        if isinstance(below, dict):
            yield from _leaves(below, (*at, key))
        else:
            yield (*at, key), below


def _get(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _names(value: Any, agent: str) -> bool:
    return isinstance(value, str) and normal_name(value) == agent
