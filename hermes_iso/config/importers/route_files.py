"""Import routes: every format in which a config may say who gets which messages, as `routes` and `bindings`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hermes_iso.config.importers.imported import Imported
from hermes_iso.config.known import PLATFORMS, name_complaint
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.route_match import FoundRule
from hermes_iso.config.routes import read_rules
from hermes_iso.config.yaml_text import Document, read_document
from hermes_iso.errors import UsageError

_ROUTE_KEYS = ("routes", "bindings", "profile_routes", "gateway")


def import_routes(path: Path) -> Imported:
    """Return the routes of a YAML or JSON file. Raises UsageError when it has none, ConfigError with every mistake in them."""
    problems = ProblemList()
    document = read_document(path, problems)
    rules = read_rules(document, problems)
    for found in rules.all:
        if complaint := name_complaint(found.rule.agent):
            document.complain(problems, found.at, message=complaint)
    problems.raise_if_any()
    if not rules.all:
        formats = "routes, bindings, profile_routes (also below gateway), or a platform's topic_profiles"
        raise UsageError(f"{path} holds no routes. Known are, at top level: {formats}.")
    agents = sorted({found.rule.agent for found in rules.all})
    config = {
        name: [_entry(found) for found in part]
        for name, part in (("routes", rules.routes), ("bindings", rules.bindings))
        if part
    }
    left = [f"whether these agents exist was not looked at: {', '.join(agents)}", *problems.warnings, *_others(document)]
    return Imported(config, tuple(left))


def _entry(found: FoundRule) -> dict[str, Any]:
    """Return a rule as an entry of our own formats."""
    rule = found.rule
    match = dict(sorted(rule.match.items(), key=lambda pair: pair[0] != "platform"))
    return {"agent": rule.agent, "match": match, **({} if rule.enabled else {"enabled": False})}


def _others(document: Document) -> list[str]:
    """Say which keys of the file are no routes."""
    others = [key for key in document.data if key not in _ROUTE_KEYS and key.lower() not in PLATFORMS]
    return [f"{key}: is no route" for key in others]
