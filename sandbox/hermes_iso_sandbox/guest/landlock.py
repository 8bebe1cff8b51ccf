"""Landlock: a second word on which files a process may write, whatever the mounts say; by ctypes, degrading by ABI.

Mounts decide what a turn sees. Should one of them be writable by mistake, this layer still refuses: it allows reading and
executing everywhere, and writing below the places that the host named and nowhere else. It holds for the process and all that
it starts, also for descriptors opened later, and it can be made stricter but never be taken off.

Rights belong to directories as objects, not to their names, so it is applied after the mounts; and a right that is given to
a directory counts for everything below it, so a stricter layer can't take one place out of a larger one: see `narrowed`.
Reading directories is allowed everywhere too, since `ls /` and statvfs() need it. Network rules (ABI 4) and scopes (ABI 6)
are not used: a session's background server and its next turn share a network and must still talk. Denials are kept out of the
host's audit log where the kernel offers that (ABI 7), because a guest could fill it.

What an older kernel lacks: before ABI 2 no file can be moved or linked into another directory (programs copy instead), before
3 truncating is not judged, before 5 neither are the ioctls of devices. Without landlock files rest on mounts and ownership.
Source: landlock(7), linux/landlock.h.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Sequence

from hermes_iso_sandbox.guest import kernel

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
FIRST_RIGHTS = (1 << 13) - 1
"""Every right of ABI 1."""
LATER_RIGHTS = ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
"""Since which ABI a further right exists."""
READING = EXECUTE | READ_FILE | READ_DIR
NEVER = MAKE_CHAR | MAKE_BLOCK
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule on anything but a directory may hold."""
QUIET_ABI = 7
QUIET = 1 << 0 | 1 << 2
"""No denials of this process, its children and stricter layers in the audit log."""

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on both architectures
_VERSION = 1
_PATH_BENEATH = 1
_RULE = struct.Struct("=Qi")


class LandlockMissingError(Exception):
    """The kernel has no landlock, and what was asked for needs it."""


def find_abi() -> int:
    """Return the kernel's landlock ABI; 0 where it has none, or where it can't be used."""
    try:
        return kernel.system_call("landlock_create_ruleset", _CREATE, None, 0, _VERSION)
    except OSError:
        return 0


def rights(abi: int) -> int:
    """Return every right that a kernel of this ABI can withhold."""
    return FIRST_RIGHTS | sum(right for since, right in LATER_RIGHTS if abi >= since)


def restrict(writable: Iterable[str], abi: int) -> None:
    """Let this process and all that it starts write below these paths only. Does nothing for ABI 0; needs no_new_privs.

    Raises OSError: a path that does not exist is a fault of whoever named it.
    """
    if not abi:
        return
    handled = rights(abi)
    ruleset = kernel.system_call("landlock_create_ruleset", _CREATE, struct.pack("=Q", handled), 8, 0)
    try:
        _allow(ruleset, "/", READING)
        for path in writable:
            _allow(ruleset, path, handled & ~NEVER)
        kernel.system_call("landlock_restrict_self", _RESTRICT, ruleset, QUIET if abi >= QUIET_ABI else 0)
    finally:
        os.close(ruleset)


def restrict_further(writable: Sequence[str], read_only: Sequence[str], abi: int) -> None:
    """Take away writing below `read_only` from a process that `restrict` was applied to.

    Raises LandlockMissingError where the kernel can't: nothing else could take it away from a process that runs.
    """
    if not abi:
        raise LandlockMissingError
    restrict(narrowed(writable, read_only), abi)


def narrowed(writable: Sequence[str], read_only: Sequence[str]) -> list[str]:
    """Return the writable places that are left: none that lies in, or holds, a path that shall be read-only."""
    return [place for place in writable if not any(_within(place, path) or _within(path, place) for path in read_only)]


def _within(path: str, place: str) -> bool:
    """Return whether a path is a place or lies below it."""
    return path == place or path.startswith(place.rstrip("/") + "/")


def _allow(ruleset: int, path: str, allowed: int) -> None:
    """Add a rule for a path and all below it. The path itself may be no symlink: an agent could have put it there."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            allowed &= OF_FILES
        kernel.system_call("landlock_add_rule", _ADD_RULE, ruleset, _PATH_BENEATH, _RULE.pack(allowed, fd), 0)
    finally:
        os.close(fd)
