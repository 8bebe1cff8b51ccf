"""hold_home: the gateway's own directory in a home, and the lock that makes it the only gateway there."""

from __future__ import annotations

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
    try:
        make_private(directory)
        lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"{directory} can't be used ({error.strerror}): correct its owner and permissions.") from error
    try:
        _lock(lock, home)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield directory
        os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def make_private(directory: Path) -> None:
    """Make a directory that only its owner may enter, or make an existing one so. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink():
        raise NotADirectoryError(20, "it is a symlink", str(directory))
    if directory.stat().st_mode & 0o077:
        directory.chmod(0o700)


def _lock(lock: int, home: Path) -> None:
    """Take the lock, or say who has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        pid = int(text) if text.isascii() and text.isdigit() else 0
        who = f"Another gateway (pid {pid})" if pid else "Another gateway"
        raise HomeBusyError(f"{who} serves {home}: stop it first, or choose another --home.", pid) from None
