"""explain_way: what `egress explain` says: an agent's rules about a host, and what its doors answer by themselves. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes_iso.agents import Agent
from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.broker.egress.explain import explain_egress
from hermes_iso.broker.injection.permission import PLAIN_PORT, concerned, port_behind
from hermes_iso.broker.model_host.endpoints import HOST

_INJECTED = "it is the host of a secret, which takes any plain HTTP request and goes on over TLS; no rule speaks of it"


def explain_way(agent: Agent, resolve: Mapping[str, Endpoint], target: str) -> dict[str, Any]:
    """Return what `egress explain --json` prints for HOST:PORT. Raises ValueError for no such target.

    To what `explain_egress` says comes `secrets`: those that requests to this host may carry, by name and header, and the URL
    that has them put in. Never a value.
    """
    answer = explain_egress(agent.id, agent.egress, resolve, target)
    answer["secrets"] = []
    if answer["host"] == HOST and answer["port"] is not None:
        return answer | _model_host(agent)
    host, port = answer["host"], answer["port"]
    behind = None if port is None else port_behind(agent.profile.secrets, host, port)
    if behind is None:
        return answer
    url = f"http://{host}/" if port in (PLAIN_PORT, 443) else f"http://{host}:{port}/"
    own = [secret for secret in agent.profile.secrets if (secret.host, secret.port) == (host, behind)]
    answer["secrets"] = [{"name": secret.name, "header": secret.header, "url": url} for secret in own]
    if not concerned(agent.egress, host, behind):
        answer |= {"allowed": True, "only": [f"any method any path, as {url}"], "rule": _INJECTED}
    return answer


def _model_host(agent: Agent) -> dict[str, Any]:
    """Return what is said of the model host."""
    if agent.models is None:
        fix = f"add the line  models: []  to agents.{agent.id}; the agent's own model needs no naming"
        return {"allowed": False, "tunnel": False, "rule": "this agent has no model host", "fix": fix}
    only = [f"http://{HOST}/v1/…"]
    return {
        "allowed": True,
        "tunnel": False,
        "rule": f"it is the model host, by agents.{agent.id}.models",
        "fix": "",
        "only": only,
    }
