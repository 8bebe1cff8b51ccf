"""From a config's tool settings to a ToolPolicy: the root's lists are the gateway's layer, the agent's own are its layer.

Hermes resolves a platform's list in two steps, and so does this: a toolset that people choose from counts as it is; a larger
one (`hermes-cli`, `coding`) counts as those of the former that it holds completely. Toolsets of MCP servers and plugins bring
no tools of the engine. In `agents.<id>.tools` a toolset counts as all that it holds.

Layers only narrow: what the root's lists take away, no agent's own can give back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from hermes_iso.config.agent_shapes import ToolsShape
from hermes_iso.config.known import TOOL_PLATFORMS
from hermes_iso.config.problems import ProblemList, key_text, numbered, possible, suggestion
from hermes_iso.config.source import Source
from hermes_iso.config.yaml_text import Document, KeyPath
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.tools import KNOWN_TOOLS, TOOL_PROFILES, TOOLS, TOOLSETS, tools_named

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
_DELEGATE = "delegate_task"


def tool_policy(source: Source, root: Source, *, problems: ProblemList) -> ToolPolicy:
    """Return what an agent may call: the gateway's layer, then the agent's. What is wrong is noted."""
    gateway, agent = _Draft("gateway", problems), _Draft("agent", problems)
    gateway.take_lists(root)
    overlay, at = source.overlay, source.overlay_at
    if overlay.tools is not None:
        agent.take_tools(overlay.tools, root.document, (*at, "tools"), source)
    for key in ("max_depth", "max_children"):
        if not getattr(overlay.subagents, key):
            agent.denied.setdefault(_DELEGATE, _place(root.document, (*at, "subagents", key)))
    if source.id != root.id:
        agent.take_lists(source)
    policy = ToolPolicy((gateway.layer(), agent.layer()))
    _warn(source.id, policy, problems)
    return policy


def _warn(agent: str, policy: ToolPolicy, problems: ProblemList) -> None:
    """Warn of what is no mistake and yet hardly meant: nothing granted, or a profile's list that the home's cuts short."""
    if not policy.grant(TOOLS):
        problems.warn(f"agent {agent} is granted no tool, so its turns are refused; see: hermes-iso policy explain {agent}")
    gateway, own = policy.layers
    for platform in own.by_platform.keys() & gateway.by_platform.keys() - _AS_HERMES.keys():
        lost = sorted(TOOLS.keys() & own.by_platform[platform] - gateway.by_platform[platform])
        if lost:
            place, above = own.places[f"on {platform}"], gateway.places[f"on {platform}"]
            problems.warn(
                f"{place}: {', '.join(lost)} not granted, because {above} leaves it out and a profile can only narrow"
            )


@dataclass(slots=True)
class _Draft:
    """A layer in the making; `places` and `denied` tell where everything is written."""

    name: str
    problems: ProblemList
    profile: frozenset[str] | None = None
    also_allow: frozenset[str] = frozenset()
    allow: frozenset[str] | None = None
    by_platform: dict[str, frozenset[str]] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def layer(self) -> Layer:
        """Return the layer."""
        places = {**self.places, **{f"deny {tool}": place for tool, place in self.denied.items()}}
        denied = frozenset(self.denied)
        return Layer(self.name, self.profile, self.also_allow, self.allow, self.by_platform, denied, places)

    def take_lists(self, origin: Source) -> None:
        """Take Hermes' own lists of a home: `platform_toolsets` and `agent.disabled_toolsets`."""
        for platform, names in origin.keys.platform_toolsets.items():
            at: KeyPath = ("platform_toolsets", platform)
            if platform not in TOOL_PLATFORMS:
                origin.document.complain(self.problems, at, message=f"unknown platform{possible(platform, TOOL_PLATFORMS)}")
            self._check(origin.document, at, names, (origin.document,))
            self.by_platform[platform] = frozenset(tool for name in names for tool in _chosen(name))
            self.places[f"on {platform}"] = _place(origin.document, at)
        for ours, theirs in _AS_HERMES.items():
            if theirs in self.by_platform and ours not in self.by_platform:
                self.by_platform[ours] = self.by_platform[theirs]
                self.places[f"on {ours}"] = self.places[f"on {theirs}"]
        self._deny(origin.document, _DISABLED, origin.keys.agent.disabled_toolsets or [], (origin.document,))

    def take_tools(self, shape: ToolsShape, document: Document, at: KeyPath, source: Source) -> None:
        """Take `agents.<id>.tools`, in whichever of its forms it is written."""
        written, known_to = document.get(*at), (document, source.document)
        if shape.profile is not None:
            self._take_profile(shape.profile, document, at if isinstance(written, str) else (*at, "profile"))
        self._check(document, (*at, "also_allow"), shape.also_allow, known_to)
        self.also_allow = _all_of(shape.also_allow)
        if shape.allow is not None:
            place = at if isinstance(written, list) else (*at, "allow")
            self._check(document, place, shape.allow, known_to)
            self.allow = _all_of(shape.allow)
            self.places["allow"] = _place(document, place)
        self._deny(document, (*at, "deny"), shape.deny, known_to)

    def _take_profile(self, name: str, document: Document, at: KeyPath) -> None:
        """Begin with the tools of a profile."""
        if name in TOOL_PROFILES:
            self.profile = TOOL_PROFILES[name]
            self.places["profile"] = _place(document, at)
            return
        hint = f"; for a toolset or tool write a list: [{name}]" if tools_named(name) else possible(name, TOOL_PROFILES)
        document.complain(self.problems, at, message=f"unknown tool profile {name[:60]!r}{hint}")

    def _deny(self, document: Document, at: KeyPath, names: list[str], known_to: Iterable[Document]) -> None:
        """Take a list of what is denied."""
        self._check(document, at, names, known_to)
        for index, name in numbered(names):
            for tool in _tools(name):
                self.denied.setdefault(tool, _place(document, (*at, index)))

    def _check(self, document: Document, at: KeyPath, names: list[str], known_to: Iterable[Document]) -> None:
        """Note each name that is neither a toolset nor a tool nor one that a config in `known_to` defines."""
        known = {*TOOLSETS, *KNOWN_TOOLS, *_EVERYTHING, "no_mcp"}.union(*map(_defined, known_to))
        for index, name in numbered(names):
            if name not in known and not name.startswith("mcp-"):
                hint = suggestion(name, known) or possible(name, _CHOSEN_FROM)
                document.complain(self.problems, (*at, index), message=f"unknown tool or toolset{hint}")


def _defined(document: Document) -> set[str]:
    """Return the names of toolsets that a config defines: MCP servers, and what plugins bring."""
    servers, plugins = document.get("mcp_servers"), document.get("known_plugin_toolsets")
    names = set(servers if isinstance(servers, dict) else ())
    for listed in plugins.values() if isinstance(plugins, dict) else ():
        names |= {str(name) for name in listed} if isinstance(listed, list) else set()
    return names


def _place(document: Document, at: KeyPath) -> str:
    """Return a key and where it, or an item of its list, is written."""
    key = at[:-1] if isinstance(at[-1], int) else at
    return f"{key_text(key)} {document.file}:{document.line(at)}"


def _tools(name: str) -> frozenset[str]:
    """Return the tools that a name in a list means."""
    return KNOWN_TOOLS if name in _EVERYTHING else tools_named(name)


def _all_of(names: Iterable[str]) -> frozenset[str]:
    """Return the tools that a list means."""
    return frozenset(tool for name in names for tool in _tools(name))


def _chosen(name: str) -> Iterable[str]:
    """Return the tools that a name in a platform's list allows, as Hermes reads it."""
    tools = _tools(name)
    if name in _CHOSEN_FROM or name not in (*TOOLSETS, *_EVERYTHING):
        return tools
    whole = (frozenset(TOOLSETS.get(part, ())) for part in _CHOSEN_FROM)
    return frozenset(tool for part in whole if part and part <= tools for tool in part)
