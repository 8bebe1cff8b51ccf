"""What `agent show` says of what an agent reaches beside its home: its door, secrets and model host, and shared directories."""

from __future__ import annotations

from typing import Any

from hermes_iso.agents import Agent, ModelSettings
from hermes_iso.broker.egress.rules import EgressRule
from hermes_iso.profiles import SHARED
from hermes_iso_sandbox import Bind


def describe_reach(agent: Agent) -> dict[str, Any]:
    """Return the keys `egress`, `secrets`, `model_host` and `fallbacks` of `agent show --json`."""
    return {
        "egress": _egress(agent),
        "secrets": _secrets(agent),
        "model_host": _model_host(agent),
        "fallbacks": [_name(each) for each in agent.fallbacks],
    }


def reach_text(agent: dict[str, Any]) -> dict[str, str]:
    """Return the same of a described agent, each in one line."""
    return {
        "egress": _egress_text(agent["egress"]),
        "secrets": _secrets_text(agent["secrets"]),
        "model_host": _model_host_text(agent["model_host"]),
        "fallbacks": ", ".join(agent["fallbacks"]) or "-",
    }


def _egress(agent: Agent) -> dict[str, Any]:
    """Return the rules of its door."""
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


def _egress_text(egress: dict[str, Any]) -> str:
    """Return the same in one line, "-" for an agent without a rule."""
    parts = [f"{kind} {', '.join(map(_rule_text, egress[kind]))}" for kind in ("allow", "deny") if egress[kind]]
    if parts and not egress["door"]:
        parts.append("but it has no door: no tool of its could use one")
    return "; ".join(parts) or "-"


def _rule_text(rule: dict[str, Any]) -> str:
    """Return one rule in words."""
    limits = ["/".join(rule["methods"] or ()), " ".join(rule["paths"] or ())]
    return " ".join(filter(None, (rule["to"], *limits)))


def _secrets(agent: Agent) -> list[dict[str, Any]]:
    """Return what each is called and where it goes, and nothing of its value."""
    keys = ("name", "host", "port", "header")
    return [{key: getattr(secret, key) for key in keys} for secret in agent.profile.secrets]


def _secrets_text(secrets: list[dict[str, Any]]) -> str:
    """Return the same in one line."""
    return "; ".join(f"{each['name']} in {each['header']} to {each['host']}:{each['port']}" for each in secrets) or "-"


def _model_host(agent: Agent) -> dict[str, Any]:
    """Return whether there is one, and the models that programs may name there."""
    named = (agent.model, *agent.fallbacks, *(agent.models or ()))
    names = dict.fromkeys(_name(each) for each in named if each.provider != "none")
    return {"open": agent.models is not None, "models": [] if agent.models is None else list(names)}


def _name(model: ModelSettings) -> str:
    """Return a model as the config names it."""
    return f"{model.provider}/{model.model}"


def _model_host_text(host: dict[str, Any]) -> str:
    """Return the same in one line."""
    return f"open for {', '.join(host['models']) or 'no model'}" if host["open"] else "-"


def describe_shared(agent: Agent) -> list[dict[str, str]]:
    """Return the key `shared_paths` of `agent show --json`."""
    return [_shared(bind) for bind in agent.profile.binds if bind.target.startswith(f"{SHARED}/")]


def _shared(bind: Bind) -> dict[str, str]:
    """Return a directory that the agent shares with others."""
    name = bind.target.removeprefix(f"{SHARED}/")
    return {"name": name, "path": bind.source, "mode": "rw" if bind.writable else "ro"}
