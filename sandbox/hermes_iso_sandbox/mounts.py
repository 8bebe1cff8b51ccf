"""Detached mounts of host directories, by the system calls that Python does not offer; for a root gateway.

Source: open_tree(2), mount_setattr(2), openat2(2).
"""

from __future__ import annotations

import ctypes
import os
import struct

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
MOUNT_ATTR_IDMAP = 0x00100000
OPEN_TREE_CLONE = 0x1
RESOLVE_NO_SYMLINKS = 0x4
SYS_OPEN_TREE = 428
SYS_OPENAT2 = 437
SYS_MOUNT_SETATTR = 442

_libc = ctypes.CDLL(None, use_errno=True)


def clone_mount(source: str) -> int:
    """Return a descriptor of a detached clone of the mount at `source`. Raises OSError.

    No component of the path may be a symlink: it was resolved before, so one that is there now was put there since.
    """
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS)
    place = _call(f"open {source} without following symlinks", SYS_OPENAT2, AT_FDCWD, os.fsencode(source), how, len(how))
    try:
        flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE | AT_EMPTY_PATH
        return _call(f"clone {source}", SYS_OPEN_TREE, place, b"", flags)
    finally:
        os.close(place)


def map_owners(mount: int, namespace: int) -> None:
    """Map the owners of files in a detached mount through a user namespace. Raises OSError where the file system can't."""
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, namespace)
    what = "map the owners of files, which ext4, xfs, btrfs and tmpfs can"
    _call(what, SYS_MOUNT_SETATTR, mount, b"", AT_EMPTY_PATH | AT_RECURSIVE, attributes, len(attributes))


def _call(what: str, number: int, *arguments: int | bytes) -> int:
    """Make a system call and return its result, or raise its errno with what was being done."""
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result
