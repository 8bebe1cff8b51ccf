"""From Hermes' tool settings to a ToolPolicy: `platform_toolsets` says what is allowed, `agent.disabled_toolsets` denies.

Hermes resolves a platform's list in two steps, and so does this: a toolset that people choose from counts as it is; a larger
one (`hermes-cli`, `coding`) counts as those of the former that it holds completely. Toolsets of MCP servers and plugins bring
no tools of the engine. `agent.disabled_toolsets` comes last and takes away whatever else allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hermes_iso.config.known import PLATFORMS
from hermes_iso.config.problems import ProblemList, key_text, numbered, possible, suggestion
from hermes_iso.config.source import Source
from hermes_iso.config.yaml_text import KeyPath
from hermes_iso.policy import ToolPolicy
from hermes_iso.tools import KNOWN_TOOLS, TOOLSETS

_CHOSEN_FROM = tuple(
    re.findall(
        r"\S+",
        "web browser terminal file code_execution vision video image_gen video_gen x_search tts skills todo"
        " memory context_engine"
        " session_search clarify delegation cronjob homeassistant spotify discord discord_admin yuanbao computer_use",
    )
)
_EVERYTHING = ("all", "*")
_DISABLED = ("agent", "disabled_toolsets")
_AS_HERMES = {"console": "cli"}
"""Adapters here and the platform whose list they obey in Hermes."""


def tool_policy(source: Source, root: Source, *, problems: ProblemList) -> ToolPolicy:
    """Return what an agent may call: its own config's word where it says something, else the root's."""
    allowed: dict[str, frozenset[str]] = {}
    listed_at: dict[str, str] = {}
    for origin in (root, source) if root is not source else (source,):
        for platform, names in origin.keys.platform_toolsets.items():
            at: KeyPath = ("platform_toolsets", platform)
            if platform not in PLATFORMS:
                origin.document.complain(problems, at, message=f"unknown platform{possible(platform, PLATFORMS)}")
            _check(origin, at, names, problems)
            allowed[platform] = frozenset(tool for name in names for tool in _allowed(name))
            listed_at[platform] = _place(origin, at)
    for ours, theirs in _AS_HERMES.items():
        if theirs in allowed:
            allowed.setdefault(ours, allowed[theirs])
            listed_at.setdefault(ours, listed_at[theirs])
    denier = source if source.keys.agent.disabled_toolsets is not None else root
    denied = denier.keys.agent.disabled_toolsets or []
    _check(denier, _DISABLED, denied, problems)
    denied_at: dict[str, str] = {}
    for index, name in numbered(denied):
        for tool in _tools(name):
            denied_at.setdefault(tool, _place(denier, _DISABLED, index))
    return ToolPolicy(deny=frozenset(denied_at), by_platform=allowed, denied_at=denied_at, listed_at=listed_at)


def _place(origin: Source, at: KeyPath, *item: int) -> str:
    """Return a key and where it, or an item of its list, is written."""
    return f"{key_text(at)} {origin.document.file}:{origin.document.line((*at, *item))}"


def _tools(name: str) -> frozenset[str]:
    """Return the tools of a toolset, or the one tool of that name, or none."""
    if name in _EVERYTHING:
        return KNOWN_TOOLS
    return frozenset(TOOLSETS.get(name, (name,) if name in KNOWN_TOOLS else ()))


def _allowed(name: str) -> Iterable[str]:
    """Return the tools that a name in a platform's list allows, as Hermes reads it."""
    tools = _tools(name)
    if name in _CHOSEN_FROM or name not in (*TOOLSETS, *_EVERYTHING):
        return tools
    whole = (frozenset(TOOLSETS.get(part, ())) for part in _CHOSEN_FROM)
    return frozenset(tool for part in whole if part and part <= tools for tool in part)


def _check(origin: Source, at: KeyPath, names: list[str], problems: ProblemList) -> None:
    """Note each name that is neither a toolset nor a tool nor one of an MCP server."""
    servers, plugins = origin.document.get("mcp_servers"), origin.document.get("known_plugin_toolsets")
    known = {*TOOLSETS, *KNOWN_TOOLS, *_EVERYTHING, "no_mcp", *(servers if isinstance(servers, dict) else ())}
    for listed in plugins.values() if isinstance(plugins, dict) else ():
        known |= {str(name) for name in listed} if isinstance(listed, list) else set()
    for index, name in numbered(names):
        if name not in known and not name.startswith("mcp-"):
            hint = suggestion(name, known) or possible(name, _CHOSEN_FROM)
            origin.document.complain(problems, (*at, index), message=f"unknown toolset{hint}")
