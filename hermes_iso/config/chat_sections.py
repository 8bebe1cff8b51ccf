"""SectionReader: one setting of a chat platform, from wherever Hermes lets it stand: an account, its platform, `.env`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.config.people import words_at
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.shapes import as_switch
from hermes_iso.config.source import Names, Source
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of

REPLIES = ("first", "all", "off")
"""What `reply_to_mode` may be."""


@dataclass(frozen=True, slots=True)
class Found:
    """A text and where it stands, for a message: its file, line and key."""

    text: str = field(repr=False)
    file: str
    line: int
    key: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.key} ({self.file}:{self.line})"


def sections_of(document: Document, platform: str) -> tuple[KeyPath, ...]:
    """Return the sections of a platform that a config.yaml has, the one that counts first first."""
    platforms = document.get("platforms")
    spelled = [key for key in (platforms if isinstance(platforms, dict) else ()) if key.strip().lower() == platform]
    places = [("platforms", key, *below) for key in spelled for below in (("extra",), ())]
    places += [(platform, "extra"), (platform,)]
    return tuple(at for at in places if isinstance(document.get(*at), dict))


@dataclass(frozen=True, slots=True)
class SectionReader:
    """Reads the settings of one account; what is wrong is noted.

    sections: where a setting may stand, in the order in which they count. A name of the `.env` (the platform's name and the
    key's, in capitals) counts after them; allow lists and switches are never read from the gateway's own environment.
    """

    platform: str
    source: Source
    sections: Sequence[KeyPath]
    names: Names = field(repr=False)
    problems: ProblemList
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def document(self) -> Document:
        """The config.yaml that the sections are in."""
        return self.source.document

    def at(self, key: str) -> KeyPath | None:
        """Return where a setting stands, None when it stands nowhere."""
        return next(((*at, key) for at in self.sections if self.document.get(*at, key) is not None), None)

    def name_of(self, key: str) -> str:
        """Return the `.env` name that stands for a setting."""
        return f"{self.platform}_{key}".upper()

    def switch(self, key: str, *, default: bool) -> bool:
        """Return a setting that is on or off."""
        at = self.at(key)
        value = as_switch(self.env.get(self.name_of(key), default) if at is None else self.document.get(*at))
        if isinstance(value, bool):
            return value
        if at is not None:
            self.complain(at, f"must be true or false, found {kind_of(value)}; correct it")
        return default

    def words(self, key: str, own: str = "", *, always: str = "") -> frozenset[str]:
        """Return a list of ids, or of other words, each as it stands.

        own: a further `.env` name that counts where no section has the key. always: one that adds to it in any case.
        """
        at = self.at(key)
        found = frozenset[str]() if at is None else words_at(self.document, at, self.document.get(*at), self.problems)
        for name in (always,) if at is not None else (self.name_of(key), own, always):
            found |= {word.strip() for word in self.env.get(name, "").split(",") if word.strip()}
        return found

    def text(self, key: str, name: str = "") -> Found | None:
        """Return a text with its `${NAME}`s replaced; `name` is looked up in the environment too, where there is no text."""
        at = self.at(key)
        if at is None:
            return self._named(name or self.name_of(key))
        value = self.document.texts.get(at)
        if value is None:
            self.complain(at, f"must be text, found {kind_of(self.document.get(*at))}; correct it")
            return None
        text, missing = self.names.expand(value)
        for each in missing:
            self.complain(at, f"refers to {each}, which is set nowhere; add it to the home's .env")
        return Found(text.strip(), self.document.file, self.document.line(at), _dotted(at)) if text.strip() else None

    def _named(self, name: str) -> Found | None:
        """Return what a name of the `.env`, or of the environment, says."""
        text = self.names.get(name)
        if text is None:
            return None
        if self.source.env.values.get(name, "").strip():
            return Found(text, str(self.source.env_file), self.source.env.lines[name], name)
        return Found(text, self.document.file, 1, f"{name} in the gateway's environment")

    def number(self, key: str, *, default: int, most: int) -> int:
        """Return a whole number from 0 to `most`."""
        found = self.text(key)
        if found is None:
            return default
        if found.text.isascii() and found.text.isdecimal() and int(found.text) <= most:
            return int(found.text)
        self.problems.add(found.file, found.line, key=found.key, message=f"must be a whole number up to {most}; correct it")
        return default

    def mapping(self, key: str) -> dict[str, Any]:
        """Return the entries of a setting that is a mapping."""
        at = self.at(key)
        value = None if at is None else self.document.get(*at)
        if at is not None and not isinstance(value, dict):
            self.complain(at, f"must be a mapping, found {kind_of(value)}; correct it")
        return value if isinstance(value, dict) else {}

    def complain(self, at: KeyPath, message: str) -> None:
        """Note a problem with the key at `at`."""
        self.document.complain(self.problems, at, message=message)


def url_of(reader: SectionReader, key: str, schemes: Sequence[str] = ("http", "https")) -> str:
    """Return a URL without a slash at its end, or ''. A proxy may also stand in the `.env` as Hermes has it: TELEGRAM_PROXY."""
    found = reader.text(key, f"{reader.platform}_PROXY".upper() if key == "proxy_url" else "")
    if found is None:
        return ""
    parts = urlsplit(found.text)
    if parts.scheme not in schemes or not parts.hostname:
        message = f"must be {'an' if 'http' in schemes else 'a'} {' or '.join(schemes)} URL; correct it"
        reader.problems.add(found.file, found.line, key=found.key, message=message)
    return found.text.rstrip("/")


def reply_mode(reader: SectionReader) -> str:
    """Return which messages of an answer show what they answer: first, all or off."""
    mode = reader.text("reply_to_mode")
    found = mode.text.lower() if mode else "first"
    if found in ("false", "no"):  # Hermes' file says off, which YAML reads as false
        return "off"
    if mode and found not in REPLIES:
        reader.problems.add(mode.file, mode.line, key=mode.key, message="must be first, all or off; correct it")
    return found


def _dotted(at: KeyPath) -> str:
    return ".".join(map(str, at))
