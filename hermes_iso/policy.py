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
    denied_at, listed_at: for people, where a tool is denied and where a platform's list stands: the key, then FILE:LINE.
    """

    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    by_platform: Mapping[str, frozenset[str]] = field(default_factory=dict)
    denied_at: Mapping[str, str] = field(default_factory=dict, compare=False)
    listed_at: Mapping[str, str] = field(default_factory=dict, compare=False)

    def grant(self, offered: Iterable[str], platform: str = "") -> tuple[str, ...]:
        """Return what is left of `offered` for one turn, each name once, in the order offered."""
        allowed = self.by_platform.get(platform, self.allow)
        return tuple(name for name in dict.fromkeys(offered) if (allowed is None or name in allowed) and name not in self.deny)

    def widest(self, offered: Iterable[str]) -> tuple[str, ...]:
        """Return what of `offered` is granted on at least one platform: what the agent's sandbox has to allow."""
        offered = tuple(dict.fromkeys(offered))
        granted = {name for platform in ("", *self.by_platform) for name in self.grant(offered, platform)}
        return tuple(name for name in offered if name in granted)

    def layer(self, name: str, platform: str = "") -> str:
        """Name what keeps a tool from messages of a platform, or return '' when it is granted there.

        Without a platform: what keeps it from all of them.
        """
        if name in self.deny:
            return self.denied_at.get(name, "a deny")
        if self.grant([name], platform) or (not platform and self.widest([name])):
            return ""
        return self.listed_at.get(platform, "a list of allowed tools that does not hold it")
