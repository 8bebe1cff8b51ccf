"""From what a rule names in the file to a RouteRule: ids as they stand there, and each value checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hermes_iso.config.known import PLATFORMS, normal_name
from hermes_iso.config.problems import ProblemList, key_text, possible, suggestion
from hermes_iso.config.yaml_text import Document, KeyPath
from hermes_iso.rules import RouteRule

CHAT_TYPES = frozenset({"dm", "group", "channel", "thread"})
"""The chat types that Hermes' adapters use. Another one may be right, so it is a warning."""


@dataclass(frozen=True, slots=True)
class FoundRule:
    """A rule, and where the agent is named that it names: as written, and the key path."""

    rule: RouteRule
    written: str
    at: KeyPath


def as_text(document: Document, at: KeyPath, value: Any) -> Any:
    """Return an id as it stands in the file: 0123 is not 83, and -100123 is no number. Nothing is the empty text."""
    if value is None:
        return ""
    return document.texts.get(at, value)


@dataclass(frozen=True, slots=True)
class RuleMaker:
    """Makes rules of one document; what is wrong is noted."""

    document: Document
    problems: ProblemList

    def make(
        self, values: Mapping[str, str | None], agent: str, *, at: KeyPath, below: KeyPath, agent_at: KeyPath, enabled: bool
    ) -> FoundRule:
        """Return a rule; values that are wrong are noted and left out, so that what it names besides is still checked.

        values: what it names, by key. at: where the rule stands. below: where its keys stand. agent_at: where its agent does.
        """
        named = {key: value for key, value in values.items() if value is not None and self.checked(key, value, (*below, key))}
        named |= {key: named[key].strip().lower() for key in ("platform", "chat_type") if key in named}
        if "peer" in named and named.get("chat_type", "dm") != "dm":
            self.complain((*below, "peer"), "is the user of a direct message, and chat_type says another one; write user_id")
        self._warn_of_chat_type(named.get("chat_type", "dm"), (*below, "chat_type"))
        where = f"{self.document.file}:{self.document.line(at)}"
        return FoundRule(RouteRule(normal_name(agent), **named, enabled=enabled, where=where), agent, agent_at)

    def checked(self, key: str, value: str, at: KeyPath) -> bool:
        """Say whether a value is one that a message may have; note it when not."""
        if not value.strip():
            self.complain(at, "must not be empty; write an id, or remove it")
        elif value == "*":
            self.complain(at, "is no id; to match any, leave this key out")
        elif key == "platform" and value.strip().lower() not in PLATFORMS:
            self.complain(at, f"unknown platform {value[:40]!r}{possible(value, PLATFORMS)}")
        else:
            return True
        return False

    def _warn_of_chat_type(self, chat_type: str, at: KeyPath) -> None:
        if chat_type not in CHAT_TYPES:
            where = f"{self.document.file}:{self.document.line(at)}: {key_text(at)}"
            near = suggestion(chat_type, CHAT_TYPES) or f"; Hermes has {', '.join(sorted(CHAT_TYPES))}"
            self.problems.warn(f"{where}: no adapter is known for chats of type {chat_type[:40]!r}{near}")

    def complain(self, at: KeyPath, message: str) -> None:
        """Note a problem with the key at `at`."""
        self.document.complain(self.problems, at, message=message)
