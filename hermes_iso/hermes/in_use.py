"""Whether anybody works on the homes that are about to change: a gateway of Hermes, or a program with a state file open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hermes_iso.config.live_gateway import live_gateway
from hermes_iso.config.schema import MAIN
from hermes_iso.errors import UsageError
from hermes_iso.hermes import moving
from hermes_iso.hermes.open_files import processes_with
from hermes_iso.hermes.state_files import MOVED


def live_gateways(home: Path, homes: Mapping[str, Path]) -> list[str]:
    """Return a sentence for each Hermes gateway that runs on the root home or one of these agents' homes."""
    found = [live_gateway(path, name) for name, path in {MAIN: home, **homes}.items()]
    return list(dict.fromkeys(filter(None, found)))


def check_unused(home: Path, homes: Mapping[str, Path]) -> None:
    """Raise UsageError when a gateway of Hermes runs on one of the homes, or a program has a state file open."""
    reasons = [f"{reason}." for reason in live_gateways(home, homes)]
    files: set[tuple[int, int]] = set()
    for place in homes.values():
        with moving.opened(place) as places:
            for name in (name for file in MOVED for name in file.names):
                for status in (places.at(name, inside=False), places.at(name, inside=True)):
                    if status is not None:
                        files.add((status.st_dev, status.st_ino))
    if not reasons and files:
        users = ", ".join(f"{program} (pid {pid})" for pid, program in processes_with(files)[:5])
        reasons += [f"State files of these homes are in use: end {users} first."] if users else []
    if reasons:
        raise UsageError(f"Nothing was changed: {' '.join(reasons)}")
