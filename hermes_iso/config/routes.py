"""Read who gets which messages, in our own two forms: `routes` and `bindings`; and those of Hermes beside them.

Every entry is checked by itself, so that ten thousand of them take ten thousand times as long as one, also when all are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hermes_iso.config.known import PLATFORMS
from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.profile_routes import read_profile_routes
from hermes_iso.config.route_match import FoundRule, RuleMaker, as_text
from hermes_iso.config.route_shapes import BindingShape, MatchShape, RouteShape
from hermes_iso.config.validation import validated, validated_entry
from hermes_iso.config.yaml_text import Document, KeyPath, kind_of

_BINDING_KEYS = PLATFORMS | BindingShape.model_fields.keys()


@dataclass(frozen=True, slots=True)
class FoundRules:
    """All rules of a config in file order. `bindings` has those of `bindings` first, then those in Hermes' formats."""

    routes: tuple[FoundRule, ...] = ()
    bindings: tuple[FoundRule, ...] = ()

    @property
    def all(self) -> tuple[FoundRule, ...]:
        """Every rule."""
        return self.routes + self.bindings


def read_rules(document: Document, problems: ProblemList) -> FoundRules:
    """Return the rules of a config; what is wrong is noted. Whether their agents exist is checked later."""
    reader = _Reader(document, problems)
    routes = reader.entries("routes")
    bindings = reader.entries("bindings")
    return FoundRules(tuple(routes), (*bindings, *read_profile_routes(document, problems)))


class _Reader:
    """Reads `routes` and `bindings` of one document."""

    def __init__(self, document: Document, problems: ProblemList) -> None:
        self._document = document
        self._problems = problems
        self._maker = RuleMaker(document, problems)

    def entries(self, root: str) -> list[FoundRule]:
        """Return the rules of a list."""
        entries = self._document.get(root)
        if entries is None:
            return []
        if not isinstance(entries, list):
            self._maker.complain((root,), f"must be a list, found {kind_of(entries)}; correct it")
            return []
        read = self._route if root == "routes" else self._binding
        found = []
        for index, entry in enumerate(entries):
            if entry is None or isinstance(entry, dict):
                found.append(read((root, index), entry or {}))
            else:
                self._maker.complain((root, index), f"must be a mapping, found {kind_of(entry)}; correct it")
        return [rule for rule in found if rule is not None]

    def _route(self, at: KeyPath, entry: dict[str, Any]) -> FoundRule | None:
        route = validated_entry(RouteShape, self._document, below=at, data=_shallow(entry), problems=self._problems)
        match = self._match(at, entry) if "match" in entry else None
        if match == {}:
            message = "matches everything; name a platform, chat_id or thread_id, or set default_agent"
            self._maker.complain((*at, "match"), message)
        return self._rule(at, route, match, (*at, "match"))

    def _binding(self, at: KeyPath, entry: dict[str, Any]) -> FoundRule | None:
        short = [key for key in entry if key.strip().lower() in PLATFORMS]
        own = {key: value for key, value in _shallow(entry).items() if key in BindingShape.model_fields}
        for key in entry.keys() - own.keys() - set(short):
            hint = "; it belongs below match:" if key in MatchShape.model_fields else possible(key, _BINDING_KEYS)
            self._maker.complain((*at, key), f"unknown key{hint}")
        binding = validated_entry(BindingShape, self._document, below=at, data=own, problems=self._problems)
        match = self._match(at, entry) if "match" in entry else {}
        if len(short) + ("match" in entry) > 1:
            self._maker.complain((*at, short[-1]), "is one match too many; write a binding for each")
        elif short:
            return self._rule(at, binding, self._short(at, short[0], entry[short[0]]), at)
        elif match == {}:
            self._maker.complain(at, "would take every message; name a platform or a match, or set default_agent")
        return self._rule(at, binding, match, (*at, "match"))

    def _short(self, at: KeyPath, platform: str, value: Any) -> dict[str, str] | None:
        """Return the match that `telegram: "-100"` is short for; `telegram: "*"` is all of a platform."""
        chat = as_text(self._document, (*at, platform), value)
        if chat == "*":
            return {"platform": platform}
        if not isinstance(chat, str):
            self._maker.complain((*at, platform), f'must be a chat id or "*", found {kind_of(chat)}; correct it')
            return None
        return {"platform": platform, "chat_id": chat} if self._maker.checked("chat_id", chat, (*at, platform)) else None

    def _match(self, at: KeyPath, entry: dict[str, Any]) -> dict[str, str] | None:
        """Return what a match names, None where it is no match; what is wrong in it is noted and left out."""
        match = entry["match"]
        if match is not None and not isinstance(match, dict):
            return None
        below = (*at, "match")
        texts = {key: as_text(self._document, (*below, key), value) for key, value in (match or {}).items()}
        shape = validated(MatchShape, self._document, below=below, data=texts, problems=self._problems)
        return shape.model_dump(exclude_unset=True)

    def _rule(
        self, at: KeyPath, entry: RouteShape | BindingShape | None, match: dict[str, str] | None, below: KeyPath
    ) -> FoundRule | None:
        """Return the rule of an entry that names its agent."""
        if entry is None:
            return None
        return self._maker.make(match or {}, entry.agent, at=at, below=below, agent_at=(*at, "agent"), enabled=entry.enabled)


def _shallow(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry with nothing in its match, which is checked by itself."""
    return {key: {} if key == "match" and isinstance(value, dict) else value for key, value in entry.items()}
