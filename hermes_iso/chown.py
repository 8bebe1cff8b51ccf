"""Give an agent's own files to its host uid, and back: only where id-mapped mounts can't make that unnecessary.

The tree is hostile: whoever wrote it wants root to give away something else. So each name is opened without following symlinks,
and the owner changed by that descriptor and never by name. A file with a second name is refused, because that may lie outside
of the tree, and so is what is mounted in it. The gateway must not run meanwhile: its lock is held by whoever calls this.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from hermes_iso.errors import UsageError
from hermes_iso.owners import Former, OwnersRecord

MOST_DEEP = 200
"""Levels of directories, each of which holds a descriptor while it is walked."""
_AT_EMPTY_PATH = 0x1000
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a tree while it is open: its descriptor (O_PATH), what it is, and where below the top."""

    fd: int
    status: os.stat_result
    path: str


def former_owners(directories: Mapping[str, str], known: OwnersRecord) -> OwnersRecord:
    """Return the record of who owns what now, for all that does not belong to the agent's uid yet; changes nothing.

    directories: name to real path. known: an earlier record, to which this adds. Raises UsageError for what may not be given.
    """
    former: dict[str, dict[int, Former]] = {}
    linked: list[str] = []
    for name, path in directories.items():
        found = dict(known.former.get(name, {}))
        for entry in walk(path):
            status = entry.status
            if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
                linked.append(os.path.join(path, entry.path))
            if status.st_uid != known.uid:
                found[status.st_ino] = Former(status.st_uid, status.st_gid, entry.path)
        former[name] = found
    if linked:
        shown = ", ".join(linked[:5]) + (f" and {len(linked) - 5} more" if len(linked) > 5 else "")
        raise UsageError(
            f"Files with more than one name are not given away: {shown}. Remove the other names, or copy the files."
        )
    return OwnersRecord(known.uid, former)


def give(directories: Mapping[str, str], record: OwnersRecord) -> int:
    """Give every file that the record has to the agent's uid; return how many changed their owner. Raises UsageError."""
    changed = 0
    for name, path in directories.items():
        for entry in walk(path):
            single = stat.S_ISDIR(entry.status.st_mode) or entry.status.st_nlink == 1
            if single and entry.status.st_uid != record.uid and entry.status.st_ino in record.former[name]:
                _chown(entry, record.uid, record.uid)
                changed += 1
    return changed


def restore(directories: Mapping[str, str], record: OwnersRecord) -> int:
    """Give back what belongs to the agent's uid; return how many files.

    What the agent made since goes to the owner of the directory as a whole. Raises UsageError.
    """
    changed = 0
    for name, path in directories.items():
        former = record.former.get(name, {})
        for entry in walk(path):
            if entry.status.st_uid != record.uid:
                continue
            owner = former.get(entry.status.st_ino) or _owner_of_top(former)
            if owner is not None:
                _chown(entry, owner.uid, owner.gid)
                changed += 1
    return changed


def _owner_of_top(former: Mapping[int, Former]) -> Former | None:
    """Return who owned the directory itself."""
    return next((each for each in former.values() if each.path == "."), None)


def walk(top: str) -> Iterator[Entry]:
    """Yield everything of a tree, what is in a directory before the directory itself. Raises UsageError, OSError.

    An entry's descriptor is open only until the next one is asked for. Symlinks are entries and lead nowhere.
    """
    with opened_directory(top) as fd:
        yield from _walk(fd, ".", os.fstat(fd).st_dev, top, 0)


def _walk(fd: int, path: str, device: int, top: str, depth: int) -> Iterator[Entry]:
    status = os.fstat(fd)
    if status.st_dev != device:
        raise UsageError(f"{os.path.join(top, path)} lies on another file system than {top}: unmount it first.")
    if depth > MOST_DEEP:
        raise UsageError(f"{top} nests deeper than {MOST_DEEP} directories: remove what does.")
    if stat.S_ISDIR(status.st_mode):
        for name in os.listdir(f"/proc/self/fd/{fd}"):
            below = os.open(name, _PLACE, dir_fd=fd)
            try:
                yield from _walk(below, os.path.normpath(os.path.join(path, name)), device, top, depth + 1)
            finally:
                os.close(below)
    yield Entry(fd, status, path)


@contextmanager
def opened_directory(top: str) -> Iterator[int]:
    """Open a directory, no part of whose path may be a symlink: it was resolved when the config was read."""
    fd = os.open("/", _PLACE | os.O_DIRECTORY)
    try:
        for part in filter(None, top.split("/")):
            below = os.open(part, _PLACE | os.O_DIRECTORY, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _chown(entry: Entry, uid: int, gid: int) -> None:
    """Change the owner of an open entry, whatever has its name by now."""
    if _LIBC.fchownat(entry.fd, b"", uid, gid, _AT_EMPTY_PATH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), entry.path)
