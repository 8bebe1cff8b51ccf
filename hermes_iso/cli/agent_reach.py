"""What `agent show` says of what an agent reaches beside its home: its door's rules, and directories that it shares."""

from __future__ import annotations

from typing import Any

from hermes_iso.agents import Agent
from hermes_iso.broker.egress.rules import EgressRule
from hermes_iso.profiles import SHARED
from hermes_iso_sandbox import Bind


def describe_egress(agent: Agent) -> dict[str, Any]:
    """Return the key `egress` of `agent show --json`."""
    rules = agent.egress
    return {
        "door": agent.has_door,
        "allow": [_rule(each) for each in rules.allow],
        "deny": [_rule(each) for each in rules.deny],
    }


def _rule(rule: EgressRule) -> dict[str, Any]:
    """Return one rule; methods and paths are null where it is about all of them."""
    methods = None if rule.methods is None else sorted(rule.methods)
    return {"to": rule.written.removesuffix(" (some requests)"), "methods": methods, "paths": rule.paths and list(rule.paths)}


def egress_text(egress: dict[str, Any]) -> str:
    """Return the same in one line, "-" for an agent without a rule."""
    parts = [f"{kind} {', '.join(map(_rule_text, egress[kind]))}" for kind in ("allow", "deny") if egress[kind]]
    if parts and not egress["door"]:
        parts.append("but it has no door: no tool of its could use one")
    return "; ".join(parts) or "-"


def _rule_text(rule: dict[str, Any]) -> str:
    """Return one rule in words."""
    limits = ["/".join(rule["methods"] or ()), " ".join(rule["paths"] or ())]
    return " ".join(filter(None, (rule["to"], *limits)))


def describe_shared(agent: Agent) -> list[dict[str, str]]:
    """Return the key `shared_paths` of `agent show --json`."""
    return [_shared(bind) for bind in agent.profile.binds if bind.target.startswith(f"{SHARED}/")]


def _shared(bind: Bind) -> dict[str, str]:
    """Return a directory that the agent shares with others."""
    name = bind.target.removeprefix(f"{SHARED}/")
    return {"name": name, "path": bind.source, "mode": "rw" if bind.writable else "ro"}
