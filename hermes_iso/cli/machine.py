"""What `doctor` tries: the machine, a whole sandbox on it, and whether the home can hold a gateway's records."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import trio

from hermes_iso.home_state import home_complaints
from hermes_iso_sandbox.capability import Check, probe
from hermes_iso_sandbox.trial import try_sandbox


def machine_checks(home: Path) -> list[Check]:
    """Return what the machine permits for a home that is or will be there; a whole sandbox is tried where all else is ok."""
    checks = list(probe(next(each for each in (home, *home.parents) if each.is_dir())).checks)
    return [*checks, trio.run(try_sandbox)] if all(check.ok for check in checks) else checks


def home_checks(home: Path, agents: Iterable[str]) -> list[Check]:
    """Return whether a gateway can keep its records in an existing home: one check, or one for each thing that is wrong."""
    if not home.is_dir():
        return []
    complaints = home_complaints(home, agents)
    return [Check("home", False, found, fix) for found, fix in complaints] or [Check("home", True, f"{home} is writable")]
