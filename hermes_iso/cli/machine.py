"""What is tried before a gateway is opened: the machine, a whole sandbox on it, and whether the home can hold its records."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import trio

from hermes_iso.home_state import home_complaints
from hermes_iso.owners import fixed_uid
from hermes_iso_sandbox.capability import Check, probe
from hermes_iso_sandbox.trial import try_sandbox

IDENTITY = "identity"


def machine_checks(home: Path, agents: Iterable[str], uids: range) -> list[Check]:
    """Return what the machine permits for a home that is or will be there, for its agents and their host uids."""
    checks = probe(next(each for each in (home, *home.parents) if each.is_dir()), uids=uids).checks
    return [check if check.ok or check.name != IDENTITY else _without_mapping(check, home, agents) for check in checks]


def trial_check() -> Check:
    """Return whether a whole sandbox can be had, by trying one."""
    return trio.run(try_sandbox)


def home_checks(home: Path, agents: Iterable[str]) -> list[Check]:
    """Return whether a gateway can keep its records in an existing home: one check, or one for each thing that is wrong."""
    if not home.is_dir():
        return []
    complaints = home_complaints(home, agents)
    return [Check("home", False, found, fix) for found, fix in complaints] or [Check("home", True, f"{home} is writable")]


def can_map(home: Path) -> Check | None:
    """Return the check of a root gateway's identities in a home, or None where it could not even be tried."""
    return next((check for check in probe(home).checks if check.name == IDENTITY), None)


def file_system(path: Path) -> str:
    """Return the type of the file system that a path lies on, as /proc/self/mountinfo names it, or "unknown"."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            return after.split()[0]
    return "unknown"


def _without_mapping(check: Check, home: Path, agents: Iterable[str]) -> Check:
    """Return what a refused mapping means: it is not needed where every agent's files belong to its own fixed uid."""
    names = list(agents)
    missing = [agent for agent in names if fixed_uid(home, agent) is None]
    if names and not missing:
        return Check(IDENTITY, True, f"each agent runs as the uid that `home chown` gave its files ({file_system(home)})")
    commands = "; ".join(f"hermes-iso home chown {agent} --home {home}" for agent in missing)
    fix = f"{check.fix} Or let each agent's files belong to a uid of its own: {commands}" if missing else check.fix
    return Check(IDENTITY, False, f"{check.found} (the file system is {file_system(home)})", fix)
