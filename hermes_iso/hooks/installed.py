"""Find the hooks of installed packages, by the entry point group `hermes_iso.hooks`; nothing of them is imported here."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

from hermes_iso.hooks.hook import SELECT_AGENT, Hook

GROUP = "hermes_iso.hooks"


def find_installed() -> tuple[Hook, ...]:
    """Return the installed hooks, by name. One whose package is not installed on disk is not among them."""
    found = [(entry, _packages(entry)) for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    return tuple(Hook(entry.name, entry=entry.value, packages=packages) for entry, packages in found if packages)


def choosing(hooks: Iterable[Hook]) -> list[Hook]:
    """Return the hooks that may choose an agent. An installed one may: it names its events only when it is loaded."""
    return [hook for hook in hooks if hook.entry or SELECT_AGENT in hook.events]


def _packages(entry: EntryPoint) -> str:
    """Return the directory that an entry point's package is installed in, or ''."""
    place = os.path.realpath(str(entry.dist.locate_file(""))) if entry.dist else ""
    return place if os.path.isdir(place) else ""
