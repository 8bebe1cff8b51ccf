"""Take one agent's home over, and give it back: its state files, the .gitconfig, and who owned what when."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from hermes_iso.hermes import gitconfig, moving
from hermes_iso.hermes.config_lines import digest
from hermes_iso.hermes.manifest import AgentRecord
from hermes_iso.hermes.state_files import DIRECTORY


def times_of(home: Path) -> tuple[int, ...]:
    """Return the mtimes of a home and of the agent's HOME, 0 where one is missing; names in them come and go here."""
    return tuple(os.lstat(place).st_mtime_ns if place.is_dir() else 0 for place in (home, home / gitconfig.HOME))


def set_times(home: Path, times: Iterable[int]) -> None:
    """Give a home and the agent's HOME their former mtimes; 0 where others changed something since, too."""
    with moving.opened(home) as places:
        for name, time in zip((".", gitconfig.HOME), times, strict=False):
            if time and os.access(name, os.F_OK, dir_fd=places.home, follow_symlinks=False):
                os.utime(name, ns=(time, time), dir_fd=places.home, follow_symlinks=False)


def record_of(home: Path, earlier: AgentRecord | None, content: bytes, times: tuple[int, ...]) -> AgentRecord:
    """Return the record of a home before anything is done to it; what an earlier try has written down stays.

    content: the .gitconfig that it would get. times: its mtimes before anything was done.
    """
    with moving.opened(home) as places:
        owners = moving.owners(places)
        missing = tuple(name for name in (DIRECTORY, gitconfig.HOME) if not os.path.lexists(home / name))
    copied = digest(content) if content and gitconfig.is_wanted(home) else ""
    if earlier is None:
        return AgentRecord(str(home), missing, owners, times, (), copied)
    return replace(
        earlier, made=(*earlier.made, *missing), owners={**owners, **earlier.owners}, gitconfig=earlier.gitconfig or copied
    )


def take(home: Path, record: AgentRecord, content: bytes) -> None:
    """Move the state files of a home, and put the .gitconfig there that its record says; repeatable."""
    moving.make_inner(home)
    with moving.opened(home) as places:
        moving.move(places)
    if record.gitconfig and digest(content) == record.gitconfig:
        gitconfig.put(home, content)


def give_back(record: AgentRecord) -> list[str]:
    """Give back one agent's files; say what stays."""
    home, notes = Path(record.home), []
    with moving.opened(home) as places:
        moving.restore(places, dict(record.owners))
        if DIRECTORY in record.made and not moving.remove_inner(places):
            notes.append(f"{home / DIRECTORY} stays: the engine keeps more there.")
    if record.gitconfig:
        made = gitconfig.HOME in record.made
        if not gitconfig.take_back(home, record.gitconfig, made=made):
            notes.append(f"{home / gitconfig.HOME / gitconfig.FILE} stays: the agent has changed it.")
    return notes


def give_back_complaints(home: Path) -> list[str]:
    """Say what keeps the state files of a home from going back, one sentence each; changes nothing."""
    with moving.opened(home) as places:
        return moving.restore_complaints(places)
