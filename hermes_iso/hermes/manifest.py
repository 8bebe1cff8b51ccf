"""The record of what `adopt` changed in a home, written before it changes anything: `<home>/hermes-iso/adopted.json`.

It holds what `adopt --undo` needs, and what a repeated `adopt` needs to go on where another one ended. It may hold the text of
a config.yaml with keys in it, so it is 0600 in a directory that is 0700.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hermes_iso.config.yaml_text import KeyPath
from hermes_iso.errors import UsageError
from hermes_iso.hermes.moving import Owned
from hermes_iso.home_lock import DIRECTORY

NAME = "adopted.json"
_LIMIT = 64 << 20


@dataclass(frozen=True, slots=True)
class ConfigRecord:
    """What was done to config.yaml.

    known: whether `before` is all that has to be put back; not so once somebody else edited the file between two adoptions.
    before: its text, None when there was no file. mtime: that of the old file, in nanoseconds. after: SHA-256 of what was
    written. keys: what was set, with its value. made: the mappings that came to be for that.
    """

    known: bool
    before: str | None
    mtime: int
    after: str
    keys: tuple[tuple[KeyPath, str], ...]
    made: tuple[KeyPath, ...]


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """What was done to one agent's home.

    made: which of its directories were made. owners: who owned each file that was moved. before, after: the mtimes of the home
    and of the agent's HOME, in nanoseconds, before the first change and after the last. gitconfig: SHA-256 of the .gitconfig
    that was put there, or ''.
    """

    home: str
    made: tuple[str, ...]
    owners: Mapping[str, Owned]
    before: tuple[int, ...]
    after: tuple[int, ...] = ()
    gitconfig: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that was done: by agent, and to the root's config.yaml. made: whether `hermes-iso/` was not there before."""

    made: bool = False
    agents: Mapping[str, AgentRecord] = field(default_factory=dict)
    config: ConfigRecord | None = None


def manifest_path(home: Path) -> Path:
    """Return where the manifest of a root home lies."""
    return home / DIRECTORY / NAME


def read_manifest(home: Path) -> Manifest | None:
    """Return a home's manifest, or None where nothing is adopted. Raises UsageError when it can't be read."""
    path = manifest_path(home)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} can't be read ({error.strerror}): correct its owner and permissions.") from error
    try:
        with open(descriptor, encoding="utf-8") as file:
            value = json.loads(file.read(_LIMIT))
        config = value["config"]
        agents = {
            str(name): AgentRecord(
                **{
                    **each,
                    **{key: tuple(each[key]) for key in ("made", "before", "after")},
                    "owners": {key: Owned(**owned) for key, owned in each["owners"].items()},
                }
            )
            for name, each in value["agents"].items()
        }
        return Manifest(bool(value["made"]), agents, _config(config) if config else None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is damaged, so what was adopted can't be told: restore it from a backup.") from error


def _config(value: dict[str, object]) -> ConfigRecord:
    record = ConfigRecord(**value)  # type: ignore[arg-type]  # what json gives; a wrong shape shows below
    keys = tuple((tuple(path), str(text)) for path, text in record.keys)
    return ConfigRecord(record.known, record.before, record.mtime, record.after, keys, tuple(map(tuple, record.made)))


def write_manifest(home: Path, manifest: Manifest) -> None:
    """Write a home's manifest, whole or not at all; it is on the disk when this returns. Raises OSError."""
    path = manifest_path(home)
    fresh = path.with_name(f".{NAME}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(manifest), file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
