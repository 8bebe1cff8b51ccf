"""The lines that `adopt` writes into a root config.yaml, and taking them out again: comments and all else stay as they are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hermes_iso.config.edit import Edit, Remove, Set, edited
from hermes_iso.config.known import normal_name
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.yaml_text import Document, KeyPath, parse_document
from hermes_iso.config_file import ConfigFile
from hermes_iso.hermes.manifest import ConfigRecord

ENGINE = "hermes"
SERVE: KeyPath = ("gateway", "serve")


@dataclass(frozen=True, slots=True)
class Lines:
    """What is to be set in a config, and the text with it."""

    keys: tuple[tuple[KeyPath, str], ...]
    made: tuple[KeyPath, ...]
    text: str


def lines_for(file: ConfigFile, agents: Iterable[str]) -> Lines:
    """Return what makes agents those of engine hermes, and has every agent served. Raises UsageError for an odd file."""
    document = file.document()
    wanted: list[tuple[KeyPath, str]] = [((*_overlay_at(document, agent), "engine"), ENGINE) for agent in agents]
    if document.get(*SERVE) is None:
        wanted.append((SERVE, "all"))
    keys = tuple((path, value) for path, value in wanted if document.get(*path) is None)
    made = {path[:depth] for path, _ in keys for depth in range(1, len(path)) if document.get(*path[:depth]) is None}
    edits = [Set(path, value) for path, value in keys]
    return Lines(keys, tuple(sorted(made, key=len)), edited(file.text, edits, str(file.path)))


def _overlay_at(document: Document, agent: str) -> KeyPath:
    """Return where an agent's overlay stands, or would: a config may write the name in capitals."""
    overlays = document.get("agents")
    written = (key for key in (overlays if isinstance(overlays, dict) else {}) if normal_name(key) == agent)
    return ("agents", next(written, agent))


def recorded(file: ConfigFile, lines: Lines, known: ConfigRecord | None) -> ConfigRecord:
    """Return the record of a change before it is made; `known` is that of an earlier adoption, which stays undoable."""
    after = digest(file.encoded(lines.text))
    if known is None:
        before = None if file.content is None else file.content.decode("utf-8")
        mtime = os.stat(file.target).st_mtime_ns if file.content is not None else 0
        return ConfigRecord(True, before, mtime, after, lines.keys, lines.made)
    untouched = (known.known and file.content in (_encoded(known.before), None)) or digest(file.content) == known.after
    keys = dict(known.keys) | dict(lines.keys)
    made = dict.fromkeys((*known.made, *lines.made))
    return replace(known, known=known.known and untouched, after=after, keys=tuple(keys.items()), made=tuple(made))


def undone(file: ConfigFile, record: ConfigRecord) -> tuple[bytes | None, bool]:
    """Return (what config.yaml shall hold, whether that is what it held before byte for byte). Raises UsageError."""
    if record.known and file.content == _encoded(record.before):
        return file.content, True
    if record.known and digest(file.content) == record.after:
        return _encoded(record.before), True
    if file.content is None:
        return None, False
    text, name = file.text, str(file.path)
    for edit in _removals(text, name, record):
        text = edited(text, [edit], name)
    for path in sorted(record.made, key=len, reverse=True):
        if _data(text, name).get(*path) == {}:
            text = edited(text, [Remove(path)], name)
    return file.encoded(text), False


def _removals(text: str, name: str, record: ConfigRecord) -> list[Edit]:
    """Return the edits that take out those of our keys that still say what they said."""
    document = _data(text, name)
    return [Remove(path) for path, value in record.keys if document.get(*path) == value]


def _data(text: str, name: str) -> Document:
    return parse_document(text, name, problems=ProblemList())


def _encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8")


def digest(content: bytes | None) -> str:
    """Return the SHA-256 of a file's content, or '' where there is none."""
    return "" if content is None else hashlib.sha256(content).hexdigest()
