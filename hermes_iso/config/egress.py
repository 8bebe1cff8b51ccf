"""From `egress` in the root config to the rules of an agent's door and the resolver map of them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from hermes_iso.agents import Agent
from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.broker.egress.names import normal_host, port_number, split_port
from hermes_iso.broker.egress.rules import PRESET_NAMES, EgressRule, EgressRules, parse_rule
from hermes_iso.config.agent_shapes import AgentShape
from hermes_iso.config.egress_shapes import AgentEgressShape, EgressRuleShape, EgressShape
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.problems import ProblemList, key_text, numbered, suggestion
from hermes_iso.config.yaml_text import Document, KeyPath


@dataclass(frozen=True, slots=True)
class Egress:
    """What the doors of all agents have of the config. rules: by agent, served or not."""

    rules: Mapping[str, EgressRules]
    resolve: Mapping[str, Endpoint]


def read_egress(home_map: HomeMap) -> Egress:
    """Return what the config says of doors; what is wrong is noted in the map. An agent of which it says nothing has none."""
    rules = {}
    for name in home_map.spelled:
        overlay, at = home_map.overlays.get(name, (AgentShape(), ("agents", name)))
        rules[name] = _agent_rules(overlay.egress, (*at, "egress"), home_map.document, home_map.problems)
    return Egress(rules, _resolver_map(home_map.ours.egress, home_map.document, home_map.problems))


def with_egress(agents: Mapping[str, Agent], egress: Egress) -> dict[str, Agent]:
    """Return the agents with the rules of their doors."""
    found = {}
    for name, agent in agents.items():
        hermes = agent.hermes and agent.hermes.resolving(egress.resolve)
        found[name] = replace(agent, egress=egress.rules[name], hermes=hermes)
    return found


def _agent_rules(shape: AgentEgressShape, at: KeyPath, document: Document, problems: ProblemList) -> EgressRules:
    """Return what one agent's turns may reach: nothing, unless its overlay says so."""
    allow = _rules(shape.allow, (*at, "allow"), document, problems)
    deny = _rules(shape.deny, (*at, "deny"), document, problems)
    for rule in allow:
        if rule.everywhere:
            problems.warn(f"{rule.place}: {rule.key} allows every host: whatever the agent knows can go anywhere")
    return EgressRules(allow, deny, key_text(at), f"{document.file}:{document.line((*at, 'allow'))}")


def _rules(
    shapes: list[EgressRuleShape | None], at: KeyPath, document: Document, problems: ProblemList
) -> tuple[EgressRule, ...]:
    """Return the rules of a list; each that is wrong is noted."""
    rules: list[EgressRule] = []
    for index, shape in enumerate(shapes):
        if shape is None:
            continue
        here = (*at, index)
        place = f"{document.file}:{document.line(here)}"
        try:
            rules.append(
                parse_rule(
                    shape.host,
                    deny=at[-1] == "deny",
                    methods=_listed(shape.methods),
                    paths=_listed(shape.paths),
                    key=key_text(here),
                    place=place,
                )
            )
        except ValueError as error:
            near = "" if "." in shape.host else suggestion(shape.host, PRESET_NAMES)
            document.complain(problems, here, message=f"{error}{near or '; correct it'}")
    return tuple(rules)


def _listed(texts: list[str] | None) -> list[str] | None:
    """Return a list without what was malformed in it."""
    return None if texts is None else [text for _, text in numbered(texts)]


def _resolver_map(shape: EgressShape, document: Document, problems: ProblemList) -> Mapping[str, Endpoint]:
    """Return where the operator leads names; each is a warning, because no check of addresses holds for it."""
    found: dict[str, Endpoint] = {}
    for written, text in shape.resolve.items():
        at = ("egress", "resolve", written)
        try:
            name, endpoint = normal_host(written), _endpoint(text)
        except ValueError as error:
            document.complain(problems, at, message=f"{error}; correct it")
            continue
        if name in found:
            document.complain(problems, at, message=f"is the same name as another in egress.resolve, {name!r}; keep one")
        found[name] = endpoint
        where = f"{document.file}:{document.line(at)}"
        problems.warn(f"{where}: egress.resolve leads {name} to {endpoint}, whatever kind of address that is")
    return found


def _endpoint(text: str) -> Endpoint:
    """Return the address, and the port where there is one, of ADDRESS:PORT, [ADDRESS]:PORT or ADDRESS. Raises ValueError."""
    host, port = (text, None) if text.count(":") > 1 and not text.startswith("[") else split_port(text)
    inner = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = str(ip_address(inner))
    except ValueError as error:
        raise ValueError(f"must be an address and a port such as 127.0.0.1:8080, found {text[:60]!r}") from error
    return Endpoint(address, None if port is None else port_number(port))
