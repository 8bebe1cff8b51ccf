"""Move an agent's state files into its `.agent/` and back, so that a crash at any step leaves a home that works.

Renaming a database and its journal one after the other would leave a moment in which a program finds the one without the other.
So every file first gets its second name, then one rename puts a symlink in the place of the first, and what is left of the old
names goes last. Whoever opens the file by its name in the home meanwhile has the whole of it. While that name is still the
file's own, the home is right and `.agent/` a copy of names to be made anew; once it is a symlink, it is the other way round.

An agent wrote in `.agent/` and may have written in the home, and this may run as root. So directories are opened once, without
following a symlink, all else is done by names in them, and nothing but a regular file with the one or two names that are known
is ever moved or given to anybody. Whatever else is found is refused before the first change.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.chown import opened_directory
from hermes_iso.errors import UsageError
from hermes_iso.hermes.state_files import DIRECTORY, MOVED, StateFile

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Owned:
    """Who owned a file and with which mode, before it was moved."""

    uid: int
    gid: int
    mode: int


@dataclass(frozen=True, slots=True)
class Places:
    """A home and its `.agent/`, as descriptors; `inner` is None where there is no `.agent/`."""

    path: Path
    home: int
    inner: int | None

    def at(self, name: str, *, inside: bool) -> os.stat_result | None:
        """Return what is at a name in the home, or in `.agent/`; None where nothing is."""
        directory = self.inner if inside else self.home
        if directory is None:
            return None
        try:
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def is_linked(self, name: str) -> bool:
        """Say whether the symlink that `adopt` leaves stands at a name in the home."""
        try:
            return os.readlink(name, dir_fd=self.home) == _target(name)
        except OSError:
            return False


def _target(name: str) -> str:
    return f"{DIRECTORY}/{name}"


def _fresh(name: str) -> str:
    """Return the name that something has in the home for a moment; a crash may leave it, and the next try removes it."""
    return f".{name}.hermes-iso"


@contextmanager
def opened(home: Path) -> Iterator[Places]:
    """Open a home, no part of whose path may be a symlink, and its `.agent/`. Raises UsageError, OSError."""
    with opened_directory(str(home)) as place:
        top = os.open(".", _DIRECTORY, dir_fd=place)
        inner: int | None = None
        try:
            with suppress(FileNotFoundError):
                inner = _open_inner(home, top)
            yield Places(home, top, inner)
        finally:
            os.close(top)
            if inner is not None:
                os.close(inner)


def _open_inner(home: Path, top: int) -> int:
    try:
        inner = os.open(DIRECTORY, _DIRECTORY, dir_fd=top)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UsageError(f"{home / DIRECTORY} must be a directory and no symlink ({error.strerror}): move it away.") from error
    if os.fstat(inner).st_dev != os.fstat(top).st_dev:
        os.close(inner)
        raise UsageError(f"{home / DIRECTORY} lies on another file system than {home}: move it away.")
    return inner


def make_inner(home: Path) -> bool:
    """Make a home's `.agent/`, 0700, for the home's owner, where it is missing; say whether it was."""
    with opened_directory(str(home)) as top:
        try:
            os.mkdir(DIRECTORY, 0o700, dir_fd=top)
        except FileExistsError:
            return False
        owner = os.stat(".", dir_fd=top)
        if os.geteuid() == 0:
            os.chown(DIRECTORY, owner.st_uid, owner.st_gid, dir_fd=top, follow_symlinks=False)
        return True


def move_complaints(places: Places) -> list[str]:
    """Say what keeps the state files of a home from being moved, one sentence each; changes nothing."""
    return [complaint for file in MOVED if (complaint := _move_complaint(places, file))]


def _move_complaint(places: Places, file: StateFile) -> str:
    """Say why one file, with its journals, can't be moved, or ''."""
    outer, inner = places.at(file.name, inside=False), places.at(file.name, inside=True)
    where, moved = places.path / file.name, places.path / DIRECTORY / file.name
    if outer is not None and stat.S_ISLNK(outer.st_mode):
        return "" if places.is_linked(file.name) else f"{where} is a symlink: put the file itself there."
    if outer is not None and inner is not None and not _same(outer, inner):
        return f"{where} and {moved} are two files: keep the one that counts, and move the other away."
    for name in file.names:
        found = places.at(name, inside=False)
        complaint = _file_complaint(places, name, found, inside=False)
        if complaint:
            return complaint
        if found is not None and os.geteuid() not in (0, found.st_uid):
            return f"{places.path / name} belongs to uid {found.st_uid}: chown it to {os.geteuid()}, or run adopt as root."
    if inner is None and outer is not None:
        for name in file.names[1:]:
            if places.at(name, inside=True) is not None:
                return f"{places.path / DIRECTORY / name} is in the way: remove it."
    return ""


def _file_complaint(places: Places, name: str, found: os.stat_result | None, *, inside: bool) -> str:
    """Say why what is at a name is not to be moved, or ''."""
    if found is None:
        return ""
    where = places.path / _target(name) if inside else places.path / name
    if not stat.S_ISREG(found.st_mode):
        return f"{where} is no regular file: move it away."
    known = (places.at(name, inside=False), places.at(name, inside=True), places.at(_fresh(name), inside=False))
    names = sum(each is not None and _same(each, found) for each in known)
    return f"{where} has more than one name: copy it, and put the copy in its place." if found.st_nlink > names else ""


def owners(places: Places) -> dict[str, Owned]:
    """Return who owns each file that would be moved and is in the home now, by name."""
    found: dict[str, Owned] = {}
    for name in (name for file in MOVED for name in file.names):
        status = places.at(name, inside=False)
        if status is not None and stat.S_ISREG(status.st_mode):
            found[name] = Owned(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    return found


def move(places: Places) -> None:
    """Move every state file of a home and leave symlinks, also where nothing is yet; repeatable. Raises OSError."""
    assert places.inner is not None
    for file in MOVED:
        if not places.is_linked(file.name):
            if places.at(file.name, inside=False) is not None:
                _name_inside(places, file)
            _put(places.home, file.name, symlink=_target(file.name))
        for name in file.names[1:]:
            _remove_twin(places, name, inside=False)
        _remove_fresh(places, file)
        os.fsync(places.inner)
        os.fsync(places.home)
    _give_inside(places)


def _name_inside(places: Places, file: StateFile) -> None:
    """Give a file and its journals their second names in `.agent/`; journals that are there are of an earlier try."""
    assert places.inner is not None
    for name in file.names:
        found, twin = places.at(name, inside=False), places.at(name, inside=True)
        if twin is not None and (found is None or not _same(found, twin)):
            os.unlink(name, dir_fd=places.inner)
            twin = None
        if found is not None and twin is None:
            os.link(name, name, src_dir_fd=places.home, dst_dir_fd=places.inner, follow_symlinks=False)
            _check_same(places, name, found)


def _check_same(places: Places, name: str, found: os.stat_result) -> None:
    """Make sure that what got a second name is what was looked at; otherwise take the name away again."""
    twin = places.at(name, inside=True)
    if twin is None or not _same(found, twin):
        os.unlink(name, dir_fd=places.inner)
        raise UsageError(f"{places.path / name} changed while it was moved: end what uses it, and try again.")


def _give_inside(places: Places) -> None:
    """Give what is in `.agent/` to whom the directory belongs: a sandbox of a root gateway maps that owner alone."""
    assert places.inner is not None
    if os.geteuid() != 0:
        return
    owner = os.fstat(places.inner)
    for name in (name for file in MOVED for name in file.names):
        with _regular(places.inner, name) as fd:
            if fd is not None and (os.fstat(fd).st_uid, os.fstat(fd).st_gid) != (owner.st_uid, owner.st_gid):
                mode = stat.S_IMODE(os.fstat(fd).st_mode)
                os.fchown(fd, owner.st_uid, owner.st_gid)
                os.fchmod(fd, mode)


def restore_complaints(places: Places) -> list[str]:
    """Say what keeps the state files from going back, one sentence each; changes nothing."""
    return [complaint for file in MOVED if (complaint := _restore_complaint(places, file))]


def _restore_complaint(places: Places, file: StateFile) -> str:
    """Say why one file, with its journals, can't go back, or ''."""
    outer, inner = places.at(file.name, inside=False), places.at(file.name, inside=True)
    where, moved = places.path / file.name, places.path / DIRECTORY / file.name
    if not places.is_linked(file.name) and outer is not None and inner is not None and not _same(outer, inner):
        return f"{where} and {moved} are two files: keep the one that counts, and move the other away."
    for name in file.names:
        found, twin = places.at(name, inside=True), places.at(name, inside=False)
        complaint = _file_complaint(places, name, found, inside=True)
        if not complaint and name != file.name and found is not None and twin is not None and not _same(found, twin):
            complaint = f"{places.path / name} is in the way: remove it."
        if complaint:
            return complaint
    return ""


def restore(places: Places, former: dict[str, Owned]) -> None:
    """Move every state file back to where Hermes expects it, with its former owner and mode; repeatable. Raises OSError.

    What the agent made since goes to the owner of the file that it belongs to, or of the home.
    """
    for file in MOVED:
        if places.at(file.name, inside=True) is not None:
            for name in file.names[1:]:
                if places.at(name, inside=True) is not None and places.at(name, inside=False) is None:
                    os.link(name, name, src_dir_fd=places.inner, dst_dir_fd=places.home, follow_symlinks=False)
            if places.is_linked(file.name) or places.at(file.name, inside=False) is None:
                _put(places.home, file.name, source=places.inner)
        elif places.is_linked(file.name):
            os.unlink(file.name, dir_fd=places.home)
        for name in file.names:
            _remove_twin(places, name, inside=True)
        _remove_fresh(places, file)
        os.fsync(places.home)
        _give_back(places, file, former)


def _give_back(places: Places, file: StateFile, former: dict[str, Owned]) -> None:
    """Give a file and its journals their former owner and mode."""
    home = os.fstat(places.home)
    for name in file.names:
        with _regular(places.home, name) as fd:
            if fd is None:
                continue
            known = former.get(name) or former.get(file.name)
            uid, gid = (known.uid, known.gid) if known else (home.st_uid, home.st_gid)
            if os.geteuid() == 0 and (os.fstat(fd).st_uid, os.fstat(fd).st_gid) != (uid, gid):
                os.fchown(fd, uid, gid)
            if known and stat.S_IMODE(os.fstat(fd).st_mode) != known.mode:
                os.fchmod(fd, known.mode)


def remove_inner(places: Places) -> bool:
    """Remove `.agent/` if nothing is in it; say whether it is gone."""
    try:
        os.rmdir(DIRECTORY, dir_fd=places.home)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _put(directory: int, name: str, *, symlink: str = "", source: int | None = None) -> None:
    """Put a symlink, or a second name of a file in `source`, at a name in one step."""
    fresh = _fresh(name)
    with suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=directory)
    if symlink:
        os.symlink(symlink, fresh, dir_fd=directory)
    else:
        os.link(name, fresh, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)
    os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)


def _remove_fresh(places: Places, file: StateFile) -> None:
    """Remove what an earlier try, ended in the middle of `_put`, left."""
    with suppress(FileNotFoundError):
        os.unlink(_fresh(file.name), dir_fd=places.home)


def _remove_twin(places: Places, name: str, *, inside: bool) -> None:
    """Remove one of the two names that a file has in the home and in `.agent/`."""
    found, twin = places.at(name, inside=inside), places.at(name, inside=not inside)
    if found is not None and twin is not None and _same(found, twin):
        os.unlink(name, dir_fd=places.inner if inside else places.home)


@contextmanager
def _regular(directory: int, name: str) -> Iterator[int | None]:
    """Open a regular file with one name in a directory, or give None."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        yield None
        return
    try:
        status = os.fstat(fd)
        yield fd if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 else None
    finally:
        os.close(fd)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
