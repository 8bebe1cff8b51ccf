"""Say how each limit of a sandbox is kept on this machine, and which are not; refuse where one is required that is not."""

from __future__ import annotations

from hermes_iso_sandbox.cgroups import Found
from hermes_iso_sandbox.confinement import Limits
from hermes_iso_sandbox.errors import UnsupportedSandboxError

LIMITS = ("memory", "pids", "cpu", "disk", "inodes")
"""The limits of a whole sandbox, as a config names them."""
FIX = (
    "Run the gateway as a service of systemd with Delegate=yes (docs/how-to/limits.md has the unit), or as root where "
    "cgroup v1 is mounted writable"
)
_WITHOUT_CGROUP = {
    "memory": "not bounded in total: each process has an address space limit, and tmpfs a size",
    "cpu": "not bounded in share: each process has a limit of CPU seconds",
}


def how_enforced(found: Found) -> dict[str, str]:
    """Return for each limit by what it is kept; one that is not begins with "not bounded"."""
    counted = "counted inside when free space changes, at least every 30 s"
    how = {"pids": "rlimit over the whole sandbox", "disk": counted, "inodes": counted}
    for name, without in _WITHOUT_CGROUP.items():
        version = found.version(name)
        how[name] = f"cgroup v{version}" if version else f"{without} ({found.missing[name]})"
    return {name: how[name] for name in LIMITS}


def not_bounded(found: Found) -> dict[str, str]:
    """Return the limits that this machine can't keep, each with what holds instead and why."""
    return {name: how for name, how in how_enforced(found).items() if name in found.missing and name in _WITHOUT_CGROUP}


def check_required(limits: Limits, found: Found, *, agent: str) -> None:
    """Raise UnsupportedSandboxError, with the fix, when a limit that must hold can't be kept here."""
    unkept = [name for name in LIMITS if name in limits.required and name in not_bounded(found)]
    if unkept:
        raise UnsupportedSandboxError(
            f"Agent {agent} has a limit of {' and '.join(unkept)} that this machine can't keep: {found.missing[unkept[0]]}. "
            f"{FIX}, or remove {' and '.join(f'sandbox.{name}' for name in unkept)} from its config."
        )
