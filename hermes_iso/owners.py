"""The record of who owned an agent's files before `home chown` gave them away: `hermes-iso/agents/<id>/owners.json`.

It also says under which host uid the agent's sandbox has to run as long as the record is there. A file is known by its inode
number, because an agent may rename what it owns; its name stands beside it for people.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.errors import UsageError
from hermes_iso.home_lock import DIRECTORY
from hermes_iso_sandbox.identity import fixed

NAME = "owners.json"


@dataclass(frozen=True, slots=True)
class Former:
    """Who owned one file before; `path` is where it was then, below the agent's directory."""

    uid: int
    gid: int
    path: str


@dataclass(frozen=True, slots=True)
class OwnersRecord:
    """The host uid that an agent's files were given to, and their former owners: directory's name to inode to owner."""

    uid: int
    former: Mapping[str, Mapping[int, Former]]


def record_path(home: Path, agent: str) -> Path:
    """Return where the record of an agent lies in the root home."""
    return home / DIRECTORY / "agents" / agent / NAME


def read_record(home: Path, agent: str) -> OwnersRecord | None:
    """Return an agent's record, or None without one. Raises UsageError when it can't be read."""
    path = record_path(home, agent)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}): correct its owner and permissions.") from error
    try:
        with open(descriptor, encoding="utf-8") as file:
            value = json.load(file)
        former = {
            name: {int(inode): Former(int(uid), int(gid), str(at)) for inode, uid, gid, at in entries}
            for name, entries in value["former"].items()
        }
        return OwnersRecord(int(value["uid"]), former)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is damaged, so former owners can't be told: restore it from a backup.") from error


def write_record(home: Path, agent: str, record: OwnersRecord) -> None:
    """Write an agent's record, 0600, whole or not at all; it is on the disk when this returns. Raises OSError."""
    path = record_path(home, agent)
    former = {
        name: [[inode, each.uid, each.gid, each.path] for inode, each in entries.items()]
        for name, entries in record.former.items()
    }
    fresh = path.with_name(f".{NAME}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump({"uid": record.uid, "former": former}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def fixed_uid(home: Path, agent: str) -> int | None:
    """Return the host uid that an agent's sandbox has to run as without id-mapped mounts, or None where it has none.

    It counts for a root gateway alone: an ordinary user's agents are that user. Raises UsageError.
    """
    record = read_record(home, agent) if os.geteuid() == 0 else None
    return record.uid if record else None


def choose_uid(home: Path, agent: str, uids: range) -> int:
    """Return a uid for an agent that no other agent of this home has; other homes most likely choose others.

    uids: all host uids of the gateway's sandboxes; those in passing are left out, so that nobody else ever has it.
    """
    try:
        others = os.listdir(home / DIRECTORY / "agents")
    except FileNotFoundError:
        others = []
    taken = {fixed_uid(home, other) for other in others if other != agent}
    start = int.from_bytes(hashlib.sha256(os.fsencode(f"{home}\0{agent}")).digest()[:4], "big")
    free = fixed(uids)
    return next(uid for step in range(len(free)) if (uid := free[(start + step) % len(free)]) not in taken)
