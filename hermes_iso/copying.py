"""copy_tree: copy a directory that an agent can write, without letting the agent choose what is copied.

Whoever wrote the tree may swap a file for a symlink while it is read. So everything is opened by descriptor, below its parent's
and without following symlinks; a symlink is copied as one, which leads nowhere before a sandbox sees it. Anything that is
neither file, directory nor symlink is left out. Size, count and depth are bounded.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.errors import UsageError

MOST_BYTES = 1 << 30
MOST_ENTRIES = 50_000
MOST_DEEP = 64
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 20


@dataclass(slots=True)
class _Left:
    """How much may still be copied."""

    size: int
    entries: int


def copy_tree(source: Path, target: Path) -> None:
    """Copy what is in `source` into `target`, which exists and is empty. Modes become 0700 and 0600.

    Raises UsageError when it is too much, OSError.
    """
    with ExitStack() as stack:
        places = []
        for path, flags in ((source, os.O_RDONLY), (target, os.O_RDONLY | os.O_NOFOLLOW)):
            places.append(os.open(path, flags | os.O_DIRECTORY | os.O_CLOEXEC))
            stack.callback(os.close, places[-1])
        _copy_entries(places[0], places[1], _Left(MOST_BYTES, MOST_ENTRIES), 0, source)


def copy_file(source: Path, target: Path) -> bool:
    """Copy one regular file, 0600; say whether there was one. A symlink in its place counts as none. Raises as `copy_tree`."""
    with ExitStack() as stack:
        try:
            places = [os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) for path in (source, target)]
        except FileNotFoundError:
            return False
        for place in places:
            stack.callback(os.close, place)
        return _copy_file(places[0], places[1], source.name, _Left(MOST_BYTES, MOST_ENTRIES), source)


def _copy_entries(source: int, target: int, left: _Left, depth: int, top: Path) -> None:
    if depth > MOST_DEEP:
        raise UsageError(f"{top} nests deeper than {MOST_DEEP} directories: it is not copied.")
    for name in os.listdir(source):
        left.entries -= 1
        if left.entries < 0:
            raise UsageError(f"{top} holds more than {MOST_ENTRIES} files: it is not copied.")
        mode = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        elif stat.S_ISDIR(mode):
            _copy_directory(source, target, name, left, depth, top)
        elif stat.S_ISREG(mode):
            _copy_file(source, target, name, left, top)


def _copy_directory(source: int, target: int, name: str, left: _Left, depth: int, top: Path) -> None:
    os.mkdir(name, 0o700, dir_fd=target)
    with ExitStack() as stack:
        places = []
        for place in (source, target):
            places.append(os.open(name, _READ | os.O_DIRECTORY, dir_fd=place))
            stack.callback(os.close, places[-1])
        _copy_entries(places[0], places[1], left, depth + 1, top)


def _copy_file(source: int, target: int, name: str, left: _Left, top: Path) -> bool:
    """Copy a regular file; say whether it was one when it was opened."""
    try:
        read = os.open(name, _READ, dir_fd=source)
    except OSError:
        return False
    with open(read, "rb", buffering=0) as file:
        status = os.fstat(read)
        if not stat.S_ISREG(status.st_mode):
            return False
        mode = 0o700 if status.st_mode & 0o100 else 0o600  # a skill's script stays one
        with open(os.open(name, _NEW, mode, dir_fd=target), "wb") as copy:
            while piece := file.read(_PIECE):
                left.size -= len(piece)
                if left.size < 0:
                    raise UsageError(f"{top} holds more than {MOST_BYTES >> 20} MiB: it is not copied.")
                copy.write(piece)
    return True
