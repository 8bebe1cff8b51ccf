"""Which requests a secret's host takes: those to it, unless the agent's egress rules about that host say otherwise. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from hermes_iso.broker.egress.rules import EgressRules
from hermes_iso.credentials import Secret

PLAIN_PORT = 80


def port_behind(secrets: Iterable[Secret], host: str, port: int) -> int | None:
    """Return the port over TLS that a plain request to HOST:PORT goes to, or None when no secret is about it."""
    ports = [secret.port for secret in secrets if secret.host == host]
    if port in ports:
        return port
    return ports[0] if ports and port == PLAIN_PORT else None


def why_not(rules: EgressRules, host: str, port: int, method: str, path: str) -> str:
    """Say which rule keeps a request from a secret's host, or ''. Rules that say nothing of the host keep nothing from it."""
    verdict = rules.decide(host, port, method, path)
    return "" if verdict.allowed or not concerned(rules, host, port) else verdict.told


def concerned(rules: EgressRules, host: str, port: int) -> bool:
    """Say whether any rule is about a host."""
    return any(rule.concerns(host, port) for rule in (*rules.allow, *rules.deny))
