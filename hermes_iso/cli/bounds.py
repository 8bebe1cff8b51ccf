"""The limits of an agent as commands show them: value, how it is kept on this machine, and what is not bounded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes_iso_sandbox.cgroups import find, process_limits
from hermes_iso_sandbox.confinement import Limits
from hermes_iso_sandbox.counting import size_text
from hermes_iso_sandbox.enforcement import check_required, how_enforced, not_bounded

_SIZES = ("memory", "disk", "address_space", "file_size", "tmp_bytes")
_PER_PROCESS = ("address_space", "open_files", "file_size", "cpu_seconds")


def describe_limits(limits: Limits) -> dict[str, Any]:
    """Return the keys `limits`, `enforced` and `not_bounded` of `doctor --json` and `agent show --json`. Tries the machine."""
    found = find()
    whole = {"memory": limits.memory, "pids": limits.processes, "cpu": limits.cpu, "disk": limits.disk, "inodes": limits.inodes}
    parts = process_limits(limits, memory_bounded="memory" not in found.missing)
    del parts["processes"]
    enforced = {**how_enforced(found), **dict.fromkeys(_PER_PROCESS, "rlimit, per process"), "tmp_bytes": "tmpfs, per turn"}
    return {"limits": {**whole, **parts}, "enforced": enforced, "not_bounded": not_bounded(found)}


def unbounded_here() -> dict[str, str]:
    """Return the limits that this machine can't keep, each with what holds instead and why."""
    return not_bounded(find())


def check_written(agents: Mapping[str, Limits]) -> None:
    """Raise UnsupportedSandboxError when a limit that the config writes out can't be kept here."""
    found = find()
    for agent, limits in agents.items():
        check_required(limits, found, agent=agent)


def limit_rows(described: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a row for each limit of a description: name, then value and how it is kept."""
    enforced = described["enforced"]
    values = {name: size_text(value) if name in _SIZES else f"{value:g}" for name, value in described["limits"].items()}
    return [(name, f"{value} ({enforced[name]})" if name in enforced else value) for name, value in values.items()]
