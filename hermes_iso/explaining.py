"""Explaining: what became of an agent's policy, tool by tool and in the kernel, by the code that grants and shapes a turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hermes_iso.agents import Agent
from hermes_iso.profiles import AGENT_DIRECTORIES
from hermes_iso.shaping import shaped
from hermes_iso.tools import KNOWN_TOOLS, TOOLS
from hermes_iso_sandbox import Bind, Confinement, Narrowing

JsonObject = dict[str, Any]

_SHOWN = ("workspace", "skills")
"""The agent's own directories of which is told whether they can be written."""


def explain(agent: Agent, landlock: int | None) -> JsonObject:
    """Return which tools the agent is granted, what denies the others, and what of it the kernel enforces.

    landlock: the kernel's ABI, None where there is none. A tool may be denied and not offered: these are two facts.
    """
    known = sorted(KNOWN_TOOLS)
    return {
        "agent": agent.id,
        "granted": list(agent.policy.grant(agent.offered)),
        "denied": {name: layer for name in known if (layer := agent.policy.refusal(name))},
        "not_offered": [name for name in known if name not in agent.offered],
        "kernel": _kernel(agent, landlock),
    }


def explain_tool(agent: Agent, tool: str, landlock: int | None) -> JsonObject:
    """Return the same for one tool that Hermes has, with a sentence that says it all."""
    whole = explain(agent, landlock)
    return {
        **whole,
        "tool": tool,
        "granted": [name for name in whole["granted"] if name == tool],
        "denied": {name: layer for name, layer in whole["denied"].items() if name == tool},
        "not_offered": [name for name in whole["not_offered"] if name == tool],
        "sentence": _sentence(agent, tool),
    }


def _sentence(agent: Agent, tool: str) -> str:
    """Say what holds for one tool."""
    if layer := agent.policy.refusal(tool):
        return f"{tool} is denied to agent {agent.id} by layer {layer}."
    if tool == "send_message" and tool not in agent.offered:
        return f"{tool} is not offered: agent {agent.id} is not denied it, but its messages.to names nobody to write to."
    if tool not in TOOLS:
        return f"{tool} is not offered: agent {agent.id} is not denied it, but its engine, {agent.engine}, does not have it."
    without = {name: layer for name in agent.policy.platforms if (layer := agent.policy.refusal(tool, name))}
    where = "; not on " + ", ".join(f"{name} ({layer})" for name, layer in without.items()) if without else " on every platform"
    return f"{tool} is granted to agent {agent.id}{where}."


def _kernel(agent: Agent, landlock: int | None) -> JsonObject:
    """Return what the agent's sandbox allows, and what turns of single platforms give up of that."""
    targets = {name: AGENT_DIRECTORIES[name] for name in _SHOWN}
    binds = tuple(Bind("", target, writable=True) for target in targets.values())
    confinement = shaped(Confinement(agent.profile.home, binds=binds), agent.needs, agent.profile.workplaces)
    return {
        **_rights(execute=confinement.execute, writable=confinement.writable),
        "soul": "rw" if agent.profile.soul_writable and agent.needs.write else "ro",
        "door": agent.has_door,
        "landlock": landlock,
        "narrowed_by_platform": {
            platform: _narrowed(agent, platform, confinement, landlock)
            for platform in agent.policy.platforms
            if agent.policy.grant(TOOLS, platform) != agent.policy.grant(TOOLS)
        },
    }


def _narrowed(agent: Agent, platform: str, confinement: Confinement, landlock: int | None) -> JsonObject:
    """Return what is left of the sandbox for turns of a platform; `refused` where the kernel can't narrow them so."""
    granted = agent.policy.grant(TOOLS, platform)
    taken = (agent.policy.refusal(tool, platform) for tool in agent.policy.grant(TOOLS) if tool not in granted)
    narrowing: Narrowing = agent.narrowing(granted)
    found = {
        "granted": list(granted),
        "layer": ", ".join(dict.fromkeys(taken)),
        **_rights(
            execute=confinement.execute and narrowing.execute,
            writable=[path for path in confinement.writable if path not in narrowing.read_only],
        ),
    }
    if narrowing.read_only and landlock is None:
        found["refused"] = "its turns fail: they must not write, and this kernel has no landlock to keep them from it"
    return found


def _rights(*, execute: bool, writable: Iterable[str]) -> JsonObject:
    """Return rights as they are shown."""
    writable = frozenset(writable)
    return {
        "execute": execute,
        **{name: "rw" if AGENT_DIRECTORIES[name] in writable else "ro" for name in _SHOWN},
        "seccomp": "base+turn" if execute else "base+turn+no-exec",
    }
