"""explain_egress: whether a door would let somebody through, by which rule, and the line that changes it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.broker.egress.names import AddressLiteralError, read_authority
from hermes_iso.broker.egress.rules import EgressRules

_NAMES_ALONE = "a door leads to hosts by their names alone, never to an address"
_LEAD = "write its name; egress.resolve leads a name to an address of your choice"


def explain_egress(agent: str, rules: EgressRules, resolve: Mapping[str, Endpoint], target: str) -> dict[str, Any]:
    """Return what `egress explain --json` prints for HOST:PORT (443 without a port). Raises ValueError for no such target.

    allowed: whether anything gets through; tunnel: whether everything does, https too. only, never: else the plain HTTP
    requests that alone do, and those that never do. leads_to: where egress.resolve sends the name, or None.
    """
    try:
        host, port = read_authority(target, default_port=443)
    except AddressLiteralError:
        return _answer(agent, target, None, rule=_NAMES_ALONE, fix=_LEAD)
    verdict = rules.decide(host, port)
    endpoint = resolve.get(host)
    allows = [rule for rule in rules.allow if rule.concerns(host, port)]
    denies = [rule for rule in rules.deny if rule.concerns(host, port)]
    partly = not verdict.allowed and bool(allows) and all(rule.limited for rule in denies)
    answer = _answer(agent, host, port, rule=verdict.rule, fix=verdict.fix)
    answer |= {"allowed": verdict.allowed or partly, "tunnel": verdict.allowed, "leads_to": endpoint and str(endpoint)}
    if partly:
        answer |= {"only": [rule.requests for rule in allows], "never": [rule.requests for rule in denies]}
    return answer


def _answer(agent: str, host: str, port: int | None, *, rule: str, fix: str) -> dict[str, Any]:
    """Return the answer for a host that is not reached."""
    parts: dict[str, Any] = {"only": [], "never": [], "leads_to": None}
    return {"agent": agent, "host": host, "port": port, "allowed": False, "tunnel": False, "rule": rule, "fix": fix, **parts}
