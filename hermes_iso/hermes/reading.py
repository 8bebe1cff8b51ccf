"""Read a little of what an agent of Hermes may have written: no symlink is followed, nothing waits, everything is bounded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hermes_iso.chown import opened_directory

MOST_NAMES = 2_000
"""Names of a directory that are looked at."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_below(home: Path, parts: Sequence[str], limit: int) -> str | None:
    """Return the beginning of a regular file below a home, `limit` bytes at most; None where there is none."""
    try:
        with _folder(home, parts[:-1]) as folder:
            fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(fd, "rb") as file:
                return file.read(limit).decode("utf-8", "replace") if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None


def folders_below(home: Path, parts: Sequence[str]) -> list[str]:
    """Return the names of the directories in one below a home, sorted; none where there is none."""
    found: list[str] = []
    try:
        with _folder(home, parts) as folder, os.scandir(folder) as entries:
            for _, entry in zip(range(MOST_NAMES), entries, strict=False):
                if entry.is_dir(follow_symlinks=False):
                    found.append(entry.name)
    except OSError:
        return []
    return sorted(found)


@contextmanager
def _folder(home: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open a directory below a home, step by step. Raises OSError."""
    with opened_directory(str(home)) as top:
        folder = os.open(".", _DIRECTORY, dir_fd=top)
        try:
            for part in parts:
                below = os.open(part, _DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)
