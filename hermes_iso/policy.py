"""ToolPolicy: which tools an agent may call; pure. Layers, from the gateway down to a subagent, that can only narrow.

Each layer is a filter of its own: what it grants hangs on nothing but its own lists, and a tool is granted when every layer
grants it. So a deny at any layer beats every allow at any other, and no layer can give what another one took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Layer:
    """What one authority says about tools, by the names of Hermes' tools: profile, also_allow, allow, deny, in this order.

    name: gateway, agent, session or subagent.
    profile: what the layer begins with; None begins with every tool. also_allow: what is added to that.
    allow: what may stay of it; None lets all of it stay, an empty set nothing.
    by_platform: what may stay for messages of a platform that has a list.
    deny: what is taken away in the end.
    places: for people, where each of these is written: the key, then FILE:LINE. Looked up as `profile`, `allow`,
    `deny TOOL` and `on PLATFORM`.
    """

    name: str
    profile: frozenset[str] | None = None
    also_allow: frozenset[str] = frozenset()
    allow: frozenset[str] | None = None
    by_platform: Mapping[str, frozenset[str]] = field(default_factory=dict)
    deny: frozenset[str] = frozenset()
    places: Mapping[str, str] = field(default_factory=dict, compare=False)

    def refusal(self, tool: str, platform: str = "") -> str:
        """Say what of this layer keeps a tool from messages of a platform, or return '' when nothing does."""
        if tool in self.deny:
            return self._said(f"deny {tool}", "a deny")
        if self.profile is not None and tool not in self.profile | self.also_allow:
            return self._said("profile", "a tool profile that does not hold it")
        if self.allow is not None and tool not in self.allow:
            return self._said("allow", "a list of allowed tools that does not hold it")
        listed = self.by_platform.get(platform)
        if listed is not None and tool not in listed:
            return self._said(f"on {platform}", "a platform's list that does not hold it")
        return ""

    def _said(self, key: str, otherwise: str) -> str:
        """Name the layer and the place of one of its steps."""
        return f"{self.name}: {self.places.get(key, otherwise)}"


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The layers that decide about an agent's tools, the outermost first. Without any, everything is granted."""

    layers: tuple[Layer, ...] = ()

    def grant(self, offered: Iterable[str], platform: str = "") -> tuple[str, ...]:
        """Return what is left of `offered` for one turn, each name once, in the order offered.

        Without a platform: what is granted where no platform's list narrows it, which holds every other grant.
        """
        return tuple(name for name in dict.fromkeys(offered) if not self.refusal(name, platform))

    def refusal(self, tool: str, platform: str = "") -> str:
        """Name the layer that keeps a tool from messages of a platform and where it says so, or '' when it is granted.

        A layer that denies the tool is named before one whose list just does not hold it.
        """
        first = ""
        for layer in self.layers:
            said = layer.refusal(tool, platform)
            if said and tool in layer.deny:
                return said
            first = first or said
        return first

    def narrowed(self, layer: Layer) -> ToolPolicy:
        """Return the policy with one more layer below the others."""
        return replace(self, layers=(*self.layers, layer))

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms for which some layer has a list, each once."""
        return tuple(dict.fromkeys(name for layer in self.layers for name in layer.by_platform))
