"""ToolPolicy: which tools an agent may call; pure, and a deny at any level beats every allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolPolicy:
    """The tools an agent may call, by the names of Hermes' tools.

    allow: None permits every tool that is not denied; an empty set permits none.
    deny: forbidden everywhere, whatever any allow says.
    by_platform: where a platform has an entry it takes the place of `allow` for messages of that platform.
    origins: where a denied tool, or a platform's list, is written: name of the tool or platform to key and place. For people.
    """

    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    by_platform: Mapping[str, frozenset[str]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def grant(self, offered: Iterable[str], platform: str = "") -> tuple[str, ...]:
        """Return what is left of `offered` for one turn, each name once, in the order offered."""
        allowed = self.by_platform.get(platform, self.allow)
        return tuple(name for name in dict.fromkeys(offered) if (allowed is None or name in allowed) and name not in self.deny)

    def widest(self, offered: Iterable[str]) -> tuple[str, ...]:
        """Return what of `offered` is granted on at least one platform: what the agent's sandbox has to allow."""
        offered = tuple(dict.fromkeys(offered))
        granted = {name for platform in ("", *self.by_platform) for name in self.grant(offered, platform)}
        return tuple(name for name in offered if name in granted)
