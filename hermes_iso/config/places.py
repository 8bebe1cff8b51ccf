"""The rules for host directories that a config names: what may be shown to an agent, and where it appears inside."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hermes_iso.profiles import AGENT_DIRECTORIES, HERMES, HOME, WORKSPACE, is_within

_SYSTEM = ("/proc", "/sys", "/dev", "/run", "/etc", "/boot", "/var/run")
_INSIDE = (HERMES, WORKSPACE, HOME, "/shared")
_SYSTEM_INSIDE = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/tmp", "/home")  # noqa: S108  the path inside
_OPERATORS = frozenset(
    re.findall(
        r"\S+",
        "profiles hermes-iso hooks plugins platforms pairing mcp-tokens mcp-installs scripts backups state-snapshots"
        " session-exports checkpoints logs bin node skill-bundles curator",
    )
)
"""Directories of a profile that hold files of the operator or the gateway."""


def user_homes() -> tuple[str, ...]:
    """Return the home directories of this machine's people and of root, resolved."""
    people = (entry for entry in pwd.getpwall() if entry.pw_uid == 0 or 1000 <= entry.pw_uid < 65000)
    return tuple(sorted({os.path.realpath(entry.pw_dir) for entry in people if _is_home(entry.pw_dir)}))


def _is_home(path: str) -> bool:
    return path not in ("", "/", "/nonexistent") and os.path.isdir(path)


@dataclass(frozen=True, slots=True)
class Places:
    """All homes of one gateway, resolved, and the directories that nobody may be given."""

    root: str
    homes: Mapping[str, str]
    workspaces: Mapping[str, str] = field(default_factory=dict)
    user_homes: tuple[str, ...] = field(default_factory=user_homes)

    def complaint(self, path: str, agent: str) -> str:
        """Say why a resolved host directory can't be shown to `agent`, or ''."""
        if path == "/" or is_within(path, *_SYSTEM):
            return f"{path} belongs to the system; name another directory"
        for home in self.user_homes:
            if is_within(home, path):
                return f"{path} is or holds a whole home directory ({home}); name a directory in it"
        own = self.homes[agent]
        # The root home holds most others: what lies in one of them is said of that one.
        for other, home in sorted((*self.homes.items(), *self.workspaces.items()), key=lambda item: item[1] == self.root):
            if other == agent:
                continue
            inside = is_within(path, home) and not (is_within(own, home) and is_within(path, own))
            holds = is_within(home, path)
            if inside or holds:
                what = "the gateway's home" if home == self.root and other == "main" else f"agent {other}'s home or workspace"
                return f"{path} {'lies in' if inside else 'holds'} {what}; name a directory outside of it"
        if is_within(self.root, path) or is_within(own, path):
            return f"{path} holds the {'gateway' if is_within(self.root, path) else 'agent'}'s own home; name a directory in it"
        if is_within(path, own) and Path(path).relative_to(own).parts[0] in _OPERATORS:
            return f"{path} holds files of the operator; name another directory"
        if is_within(path, self.root) and not is_within(path, own):
            return f"{path} lies in the gateway's home; name a directory outside of it"
        return ""

    def home_complaint(self, path: str, agent: str) -> str:
        """Say why a resolved directory can't be the home of `agent`, or ''."""
        if path == "/" or is_within(path, *_SYSTEM):
            return f"{path} belongs to the system; name another directory"
        if any(is_within(home, path) for home in self.user_homes):
            return f"{path} is or holds a user's whole home directory; name a directory in it"
        if is_within(self.root, path):
            return f"{path} is or holds the gateway's own home; name another directory"
        if is_within(path, self.root):
            first = Path(path).relative_to(self.root).parts
            taken = (_OPERATORS | frozenset(AGENT_DIRECTORIES)) - {"profiles"}
            if first[0] in taken or path == os.path.join(self.root, "profiles"):
                return f"{path} lies in a directory of agent main or of the gateway; name another directory"
        for other, home in self.homes.items():
            if other not in (agent, "main") and (is_within(path, home) or is_within(home, path)):
                return f"{path} is, holds or lies in the home of agent {other}; name another directory"
        return ""


def inside_path(path: str, directories: Mapping[str, str]) -> str | None:
    """Return where a resolved host path is already visible to an agent with these own directories, or None."""
    for name, real in directories.items():
        if is_within(path, real):
            return AGENT_DIRECTORIES[name] + path[len(real) :]
    return None


def target_complaint(path: str) -> str:
    """Say why a host path can't keep its own absolute path inside, or ''."""
    if is_within(path, *_INSIDE) or any(is_within(place, path) for place in (*_INSIDE, *_SYSTEM_INSIDE)):
        return f"{path} is a path that means something else inside a sandbox; move the directory elsewhere"
    return ""
