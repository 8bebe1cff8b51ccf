"""`agent list` and `agent show`: what is configured, without any secret. Changing it is `agent_edit`'s."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from hermes_iso.agents import Agent
from hermes_iso.cli.agent_edit import add_edits
from hermes_iso.cli.bounds import describe_limits, limit_rows
from hermes_iso.cli.options import HomeOption, JsonOption, find_agent, print_json, print_table, read_config
from hermes_iso.config.schema import Config
from hermes_iso.tools import TOOLS


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
        rows.append((a["id"], model_text(a), _tools_text(a["tools"]), a["engine"], a["home"], state))
    rows += [(agent, "-", "-", "-", "-", f"not served: {reason}") for agent, reason in others.items()]
    print_table(rows)
    return 0


def _tools_text(names: list[str]) -> str:
    """Return how many tools are granted, in a word."""
    return "all" if len(names) == len(TOOLS) else f"{len(names)} of {len(TOOLS)}" if names else "none"


def show(name: str, /, *, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Show one agent: its model, its tools, and what its sandbox holds."""
    config = read_config(home)
    agent = describe(config, find_agent(config, name))
    if as_json:
        print_json(agent)
        return 0
    lists = {key: ", ".join(agent[key]) or "-" for key in ("tools", "env_visible", "env_held")}
    shown = {**agent, **lists, "model": model_text(agent), "default": "yes" if agent["default"] else "no"}
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
        "tools": list(agent.policy.grant(TOOLS)),
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


def model_text(agent: dict[str, Any]) -> str:
    """Return a described agent's model in one word."""
    model = agent["model"]
    return f"{model['provider']}/{model['name']}" if model["provider"] != "none" else "none configured"
