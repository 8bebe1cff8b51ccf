"""What a zygote is told once about its confinement: the JSON form of `guest/confine.Settings`, as a pure function."""

from __future__ import annotations

from collections.abc import Mapping

from hermes_iso_sandbox.bwrap import DEVICES, Plan, is_fresh
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.wire import JsonObject

FRESH_PLACES = ("/tmp", "/dev/shm", "/run")  # noqa: S108  # paths inside
"""The file systems that every turn mounts for itself and may write."""

HOME = "/home/agent"
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": HOME, "LANG": "C.UTF-8"}
"""What a confinement that says nothing of its environment has."""


def turn_settings(confinement: Confinement, plan: Plan, limits: Mapping[str, int]) -> JsonObject:
    """Return the settings of a sandbox's turns. limits: what each process keeps by itself."""
    return {
        "limits": dict(limits),
        "cwd": confinement.cwd or ("/workspace" if confinement.binds else HOME),
        "env": {**ENV, **dict(confinement.env)},
        "env_file": confinement.env_file,
        "staged": [list(pair) for pair in plan.staged],
        "symlinks": [list(pair) for pair in plan.late_symlinks],
        "writable": writable_places(confinement),
        "execute": confinement.execute,
        "door": confinement.door,
        "keep_stderr": confinement.keep_stderr,
        "engine": confinement.engine,
        "engine_settings": confinement.engine_settings,
        "without": sorted(confinement.without),
    }


def writable_places(confinement: Confinement) -> list[str]:
    """Return the paths inside below which a turn may write.

    A bind below a fresh place is not among them: the place covers it, and its path is not to be relied on, because turns of a
    session that share /tmp can rename the directories that lead to it.
    """
    further = (path for path in confinement.writable if not is_fresh(path))
    return [*FRESH_PLACES, *(f"/dev/{name}" for name in DEVICES), *further]
