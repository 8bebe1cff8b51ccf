"""Whether a gateway can keep its records in a home: writable, with room on the disk, and nobody's symlink in its own places.

A symlink at a name that the gateway opens for writing would have it write where somebody else wants. Each opening refuses one
by itself; this looks at all of them at once, so that a person hears of everything before anything was started.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from hermes_iso.admin_socket import NAME
from hermes_iso.errors import UsageError
from hermes_iso.home_lock import DIRECTORY, LOCK
from hermes_iso.store import FILES_OF_ONE

LEAST_BYTES = 1 << 20
"""Free space below which no gateway is opened: its databases need some of it at once."""


def home_complaints(home: Path, agents: Iterable[str]) -> list[tuple[str, str]]:
    """Return (what was found, what to do) for each reason why the records of a gateway can't be kept in an existing home."""
    own = home / DIRECTORY
    complaints = [(f"{place} is a symlink", "Remove it.") for place in _places(own, agents) if place.is_symlink()]
    for place in (home, own):
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK):
            read_only = os.statvfs(place).f_flag & os.ST_RDONLY
            found = "lies on a read-only file system" if read_only else "is not writable"
            fix = "Mount it writable" if read_only else "Correct its owner and permissions"
            complaints.append((f"{place} {found}", f"{fix}, or choose another --home."))
    disk = os.statvfs(home)
    free = disk.f_bavail * disk.f_frsize
    if (disk.f_blocks and free < LEAST_BYTES) or (disk.f_files and not disk.f_favail):
        what = f"{free >> 10} KiB" if free < LEAST_BYTES else "no inode"
        complaints.append((f"the disk that holds {home} has {what} left", "Make room on it, or choose another --home."))
    return complaints


def check_home(home: Path, agents: Iterable[str]) -> None:
    """Raise UsageError with every complaint, unless a gateway can keep its records in a home."""
    complaints = home_complaints(home, agents)
    if complaints:
        raise UsageError("No gateway can run here. " + " ".join(f"home: {found}. {fix}" for found, fix in complaints))


def _places(own: Path, agents: Iterable[str]) -> Iterable[Path]:
    """Yield every path that a gateway opens for itself. What lies below a symlink is not looked at."""
    yield own
    if own.is_symlink():
        return
    yield from (own / name for name in (LOCK, NAME, "agents", *(f"gateway.db{end}" for end in FILES_OF_ONE)))
    if not (own / "agents").is_symlink():
        for agent in agents:
            yield own / "agents" / agent
            yield from (own / "agents" / agent / f"sessions.db{end}" for end in FILES_OF_ONE)
