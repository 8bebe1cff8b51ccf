"""Open and replace regular files, and never anything else: a FIFO or a device in the agent's way must not hold a turn."""

from __future__ import annotations

import errno
import os
import stat

from hermes_iso_sandbox.guest.tools.tool import ToolError

NEW_MODE = 0o644
_NO_SWAP = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)
"""Errors of a directory that takes no new file, or of a file that is mounted on its own."""


def read_regular(path: str, limit: int) -> bytes:
    """Return at most `limit` bytes of a regular file. Raises OSError, ToolError for anything that is no regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        require_regular(path, os.fstat(fd))
        return file.read(limit)


def require_regular(path: str, status: os.stat_result) -> None:
    """Raise ToolError unless the status is a regular file's."""
    if stat.S_ISREG(status.st_mode):
        return
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{path} is a directory, not a file: use search_files with target='files' to list it.")
    raise ToolError(f"{path} is no regular file but a device, a socket or a FIFO; those are left alone.")


def replace_regular(path: str, data: bytes) -> bool:
    """Write a whole file at once, keeping its mode and a symlink that leads to it; return whether it was made anew.

    A reader sees the old file or the new one, never a part. Where the directory can't be written to but the file can, it is
    written in place. Raises OSError, ToolError.
    """
    path = os.path.realpath(path)
    try:
        before: os.stat_result | None = os.stat(path)
    except FileNotFoundError:
        before = None
    if before is not None:
        require_regular(path, before)
    mode = NEW_MODE if before is None else stat.S_IMODE(before.st_mode)
    try:
        _swap(path, data, mode)
    except OSError as error:
        if before is None or error.errno not in _NO_SWAP:
            error.filename = path  # the name of the passing file would tell nobody anything
            raise
        _write_in_place(path, data)
    return before is None


def _swap(path: str, data: bytes, mode: int) -> None:
    """Write a new file beside the path and put it in its place."""
    new = os.path.join(os.path.dirname(path), f".hermes-{os.urandom(8).hex()}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            os.fchmod(fd, mode)
        os.replace(new, path)
    except BaseException:
        os.unlink(new)
        raise


def _write_in_place(path: str, data: bytes) -> None:
    """Overwrite an existing file."""
    fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "wb") as file:
        require_regular(path, os.fstat(fd))
        file.truncate()
        file.write(data)
