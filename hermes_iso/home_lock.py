"""hold_home: the gateway's own directory in a home, and the lock that makes it the only gateway there."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hermes_iso.errors import HomeBusyError, UsageError

DIRECTORY = "hermes-iso"
LOCK = "lock"


@contextmanager
def hold_home(home: Path) -> Iterator[Path]:
    """Hold the lock of a home and give `<home>/hermes-iso`, made 0700 where it is missing.

    The lock is the kernel's, so it ends with the process however that ends; the pid in the file is for people.
    Raises HomeBusyError when another process holds it, UsageError when the directory can't be used.
    """
    directory = home / DIRECTORY
    make_private(directory)
    try:
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(directory / LOCK, error) from error
    try:
        _lock(lock, home)
        if not _is_at(directory / LOCK, lock):
            raise HomeBusyError(f"Another command on {home} has just ended: try again.")
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise _unusable(directory / LOCK, error) from error
        yield directory
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def make_private(directory: Path) -> None:
    """Make a directory that only its owner may enter, or make an existing one so; no symlink is followed.

    Raises UsageError when it can't be used.
    """
    try:
        if directory.is_symlink():
            raise OSError(errno.ELOOP, "")
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.stat().st_mode & 0o077:
            directory.chmod(0o700)
    except OSError as error:
        raise _unusable(directory, error) from error


def leave_nothing(directory: Path) -> None:
    """Remove `<home>/hermes-iso` if it holds nothing but the lock, which is held by whoever calls this."""
    if os.listdir(directory) == [LOCK]:
        (directory / LOCK).unlink()
        directory.rmdir()


def _is_at(path: Path, file: int) -> bool:
    """Say whether an open file is still what is at a path."""
    try:
        return os.path.samestat(os.fstat(file), path.lstat())
    except FileNotFoundError:
        return False


def _unusable(path: Path, error: OSError) -> UsageError:
    """Return the sentence for a path that the gateway can't use, with what to do about it."""
    match error.errno:
        case errno.ELOOP:
            return UsageError(f"{path} is a symlink: remove it.")
        case errno.ENOSPC | errno.EDQUOT:
            return UsageError(f"{path} can't be written, because the disk is full: make room on it, or choose another --home.")
        case errno.EROFS:
            return UsageError(f"{path} lies on a read-only file system: mount it writable, or choose another --home.")
        case errno.EEXIST | errno.ENOTDIR:
            return UsageError(f"{path} is no directory: move it away.")
    return UsageError(f"{path} can't be used ({error.strerror}): correct its owner and permissions.")


def _lock(lock: int, home: Path) -> None:
    """Take the lock, or say who has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        pid = int(text) if text.isascii() and text.isdigit() else 0
        who = f"Another gateway (pid {pid})" if pid else "Another gateway"
        raise HomeBusyError(f"{who} serves {home}: stop it first, or choose another --home.", pid) from None
