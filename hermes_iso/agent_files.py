"""Read on the host what an agent itself has written: no symlink is followed, nothing is waited for, and all of it is bounded.

The agent chooses what lies in these directories, and the gateway may read more than it may. So every step below the agent's
home is opened by its name in the directory before it, without following symlinks, and only regular files are read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.profiles import Profile

NOTES = ("MEMORY.md", "USER.md")
NOTE_BYTES = 64 << 10
SKILL_BYTES = 4 << 10
"""Bytes of a skill that are read for its description."""
MOST_SKILLS = 500
MOST_ENTRIES = 2_000
"""Entries of all directories that are looked at for skills."""
_ABOUT = re.compile(r"^description:[ \t]*(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Note:
    """A file of notes: its text, or what is wrong with it."""

    name: str
    text: str = ""
    problem: str = ""


def read_notes(profile: Profile) -> list[Note]:
    """Return the agent's notes; a missing file is an empty one."""
    return [_note(profile, name) for name in NOTES]


def _note(profile: Profile, name: str) -> Note:
    """Return one file of notes."""
    try:
        with _directory(_place(profile, "memories")) as folder:
            return Note(name, _read(folder, name, NOTE_BYTES))
    except FileNotFoundError:
        return Note(name)
    except OSError:
        return Note(name, problem="is no regular file in a directory of its own")


def read_skills(profile: Profile) -> list[tuple[str, str]]:
    """Return the agent's skills by name, with what each says of itself; those that can't be read are left out."""
    found: list[tuple[str, str]] = []
    budget = [MOST_ENTRIES]
    try:
        with _directory(_place(profile, "skills")) as root:
            for name in _folders(root, budget):
                with _child(root, name) as folder:
                    if folder is not None and not _add_skill(folder, name, found):
                        for below in _folders(folder, budget):
                            with _child(folder, below) as skill:
                                if skill is not None:
                                    _add_skill(skill, below, found)
    except OSError:
        return found
    return found


def _place(profile: Profile, name: str) -> Path:
    """Return where one of the agent's own directories really lies, as it was checked when the config was read."""
    return Path(profile.directories.get(name, profile.home / name))


def _add_skill(folder: int, name: str, found: list[tuple[str, str]]) -> bool:
    """Add the skill that a directory is, if it is one and there is room; say whether it is."""
    try:
        text = _read(folder, "SKILL.md", SKILL_BYTES)
    except OSError:
        return False
    about = _ABOUT.search(text)
    if len(found) < MOST_SKILLS:
        found.append((name, about[1].strip("\"' ") if about else ""))
    return True


def _folders(folder: int, budget: list[int]) -> Sequence[str]:
    """Return the names of the directories in one, sorted, while the budget lasts."""
    names = []
    with os.scandir(folder) as entries:
        for entry in entries:
            budget[0] -= 1
            if budget[0] < 0:
                break
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                names.append(entry.name)
    return sorted(names)


@contextmanager
def _directory(path: Path | str, parent: int | None = None) -> Iterator[int]:
    """Open a directory that is no symlink. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _child(parent: int, name: str) -> Iterator[int | None]:
    """Open a directory in another, or give None where that is not possible."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _read(folder: int, name: str, limit: int) -> str:
    """Return the beginning of a regular file in a directory. Raises OSError."""
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("no regular file")
        return file.read(limit).decode("utf-8", "replace")
