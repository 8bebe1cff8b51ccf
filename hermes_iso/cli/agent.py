"""`agent list` and `agent show`: what is configured, without any secret. Changing it is `agent_edit`'s."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cyclopts import App

from hermes_iso.agents import Agent
from hermes_iso.cli.agent_edit import add_edits
from hermes_iso.cli.agent_reach import describe_reach, describe_shared, reach_text
from hermes_iso.cli.bounds import describe_limits, limit_rows
from hermes_iso.cli.options import HomeOption, JsonOption, find_agent, print_json, print_table, read_config
from hermes_iso.config.schema import Config
from hermes_iso.tools import KNOWN_TOOLS


def add_commands(app: App) -> None:
    """Add the group `agent`."""
    group = App(name="agent", help="Look at the agents, add and remove them.")
    group.command(list_agents, name="list")
    group.command(show)
    add_edits(group)
    app.command(group)


def list_agents(*, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """List the agents, the served ones first."""
    config = read_config(home)
    agents = [describe(config, agent) for agent in config.agents.values()]
    others = {**config.not_served, **config.unasked}
    if as_json:
        keys = ("id", "default", "model", "tools", "engine", "isolation", "home")
        served = [{**{key: agent[key] for key in keys}, "served": True} for agent in agents]
        print_json({"agents": served, "not_served": others})
        return 0
    rows: list[tuple[str, ...]] = [("AGENT", "MODEL", "TOOLS", "ENGINE", "HOME", "")]
    for a in agents:
        state = "served (default)" if a["default"] else "served"
        rows.append(
            (a["id"], model_text(a), _tools_text(a["tools"], config.agents[a["id"]].offered), a["engine"], a["home"], state)
        )
    rows += [(agent, "-", "-", "-", "-", f"not served: {reason}") for agent, reason in others.items()]
    print_table(rows)
    return 0


def _tools_text(names: Sequence[str], offered: Sequence[str]) -> str:
    """Return how many of the tools that are offered are granted, in a word."""
    return "all" if len(names) == len(offered) else f"{len(names)} of {len(offered)}" if names else "none"


def show(name: str, /, *, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Show one agent: its model, its tools, and what its sandbox holds."""
    config = read_config(home)
    agent = describe(config, find_agent(config, name))
    if as_json:
        print_json(agent)
        return 0
    lists = {key: ", ".join(agent[key]) or "-" for key in ("tools", "tools_not_offered", "env_visible", "env_held")}
    words = {key: "yes" if agent[key] else "no" for key in ("default", "allow_soul_edit")}
    subagents = ", ".join(f"{key} {value}" for key, value in agent["subagents"].items() if value is not None)
    shared = ", ".join(f"{each['name']} ({each['mode']}) {each['path']}" for each in agent["shared_paths"]) or "-"
    messages = ", ".join(f"{key} {' '.join(names)}" for key, names in agent["messages"].items() if names) or "-"
    between = {"shared_paths": shared, "messages": messages, **reach_text(agent)}
    shown = {**agent, **lists, **words, **between, "model": model_text(agent), "subagents": subagents}
    rows: list[tuple[str, ...]] = [
        (f"{key}:", str(value)) for key, value in shown.items() if key not in ("limits", "enforced", "not_bounded")
    ]
    rows += [(f"limit {name}:", value) for name, value in limit_rows(agent)]
    print_table(rows)
    return 0


def describe(config: Config, agent: Agent) -> dict[str, Any]:
    """Return what `agent show --json` prints. Nothing in it is secret: names of variables, never values."""
    bounds = describe_limits(agent.profile.limits)
    return {
        "id": agent.id,
        "default": agent.id == config.default_agent,
        "model": {"provider": agent.model.provider, "name": agent.model.model, "base_url": agent.model.base_url},
        "engine": agent.engine,
        "isolation": "namespace",
        "home": str(agent.profile.home),
        "workspace": str(agent.profile.workspace),
        "cwd": agent.profile.cwd,
        "tools": list(agent.policy.grant(agent.offered)),
        "tools_not_offered": _not_offered(agent),
        "subagents": _subagents(agent),
        "allow_soul_edit": agent.profile.soul_writable,
        "shared_paths": describe_shared(agent),
        "messages": {"to": list(agent.contacts.to), "from": list(agent.contacts.senders)},
        **describe_reach(agent),
        "env_visible": list(agent.profile.env_visible),
        "env_held": list(agent.profile.env_held),
        **bounds,
        "limits": {
            **bounds["limits"],
            "turn_timeout": agent.turn_timeout,
            "background_timeout": agent.background_timeout,
            "max_iterations": agent.max_iterations,
        },
    }


def _not_offered(agent: Agent) -> list[str]:
    """Return what the agent's lists grant and its engine does not have; nothing where no list names any tool."""
    listed = any(layer.allow is not None or layer.profile is not None for layer in agent.policy.layers)
    return [name for name in sorted(KNOWN_TOOLS - {*agent.offered}) if listed and not agent.policy.refusal(name)]


def _subagents(agent: Agent) -> dict[str, Any]:
    """Return how far an agent may delegate, and to which model where that is another one."""
    bounds, model = agent.subagents, agent.subagents.model
    named = f"{model.provider}/{model.model}" if model else None
    return {"max_depth": bounds.max_depth, "max_children": bounds.max_children, "model": named}


def model_text(agent: dict[str, Any]) -> str:
    """Return a described agent's model in one word."""
    model = agent["model"]
    return f"{model['provider']}/{model['name']}" if model["provider"] != "none" else "none configured"
