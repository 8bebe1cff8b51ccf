"""reload_on_change: reload by itself when a file of the home that the config is made from was edited.

It looks at the files' times and sizes once a second instead of asking the kernel to tell: that sees files on every file system
and through every symlink, new profiles too, and nothing can happen unseen while a reload runs. A hundred agents cost it about
a millisecond a second, in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeAlias

import trio

from hermes_iso.config.schema import Config
from hermes_iso.errors import HermesIsoError
from hermes_iso_sandbox.errors import SandboxError

INTERVAL = 1.0
"""Seconds between two looks; an edit counts once the files have stood still for one."""
NAMES = ("config.yaml", ".env", "SOUL.md")
"""The files of a home that a config is made from."""
Look: TypeAlias = Mapping[str, tuple[int, ...] | None]


class Reloading(Protocol):
    """A gateway, as the watch sees it."""

    @property
    def config(self) -> Config:
        """The config that is served now."""

    async def reload(self, why: str) -> object:
        """Serve what the home says now."""


class Edits:
    """Says when files were edited and have stood still since: an editor writes in steps, and people edit several files."""

    def __init__(self) -> None:
        self._known: Look | None = None
        self._before: Look | None = None

    def forget(self) -> None:
        """Take the next look for what is known."""
        self._known = self._before = None

    def are_due(self, now: Look) -> bool:
        """Take in a look; say whether it is another one than is known, twice in a row. Each edit is due once."""
        if self._known is None:
            self._known = now
        due = now != self._known and now == self._before
        self._before = now
        if due:
            self._known = now
        return due


async def reload_on_change(gateway: Reloading) -> None:
    """Reload whenever files were edited, for ever, while the config asks for it.

    What a reload refuses is in the log, and is tried again only after the next edit.
    """
    edits = Edits()
    while True:
        if not gateway.config.reload_on_change:
            edits.forget()
        elif edits.are_due(await trio.to_thread.run_sync(look, gateway.config)):
            with suppress(HermesIsoError, SandboxError):
                await gateway.reload("files")
        await trio.sleep(INTERVAL)


def look(config: Config) -> Look:
    """Return what stands at each place that could change the config: a file's identity, time and size, or None.

    A SOUL.md that an agent may write is read for every turn, and who writes it must neither cause reloads nor hold them up.
    """
    homes = {config.home, *(agent.profile.home for agent in config.agents.values()), *_profiles(config.home)}
    written = {agent.profile.home for agent in config.agents.values() if agent.profile.soul_writable}
    return {
        str(home / name): _state(home / name)
        for home in homes
        for name in NAMES
        if name != "SOUL.md" or not written or home.resolve() not in written
    }


def _profiles(home: Path) -> Iterable[Path]:
    """Return the directories of profiles, also of those that are not served."""
    try:
        return [Path(entry.path) for entry in os.scandir(home / "profiles") if entry.is_dir()]
    except OSError:
        return []


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
