"""What the process that runs hooks may touch, and where it finds the hooks; pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hermes_iso.hooks.hook import Hook
from hermes_iso_sandbox.confinement import Bind, Confinement, Limits

HOOKS = "/hooks"
"""Where the home's hooks appear inside."""
PACKAGES = "/opt/packages"
"""Where the directories of installed hooks appear inside, numbered."""
HOME = "/home/agent"
"""The one directory that hooks may write, as it is called inside."""
LIMITS = Limits(
    memory=256 << 20, processes=64, disk=64 << 20, inodes=10_000, file_size=64 << 20, tmp_bytes=64 << 20, open_files=256
)


def confinement_of(hooks: Sequence[Hook], *, home: Path, own: Path) -> Confinement:
    """Return what the process of these hooks may touch: the home's hooks and the packages are read-only."""
    files = [Bind(str(home / "hooks"), HOOKS)] if any(hook.directory for hook in hooks) else []
    packages = [Bind(outside, inside) for outside, inside in packages_inside(hooks).items()]
    return Confinement(
        home=own,
        name="hooks",
        binds=(Bind(str(own), HOME, writable=True), *files, *packages),
        env=(("HOME", HOME), ("USER", "agent"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin"), ("TZ", "UTC")),
        cwd=HOME,
        limits=LIMITS,
        execute=False,
    )


def packages_inside(hooks: Sequence[Hook]) -> dict[str, str]:
    """Return the directories that installed hooks lie in, and where each appears inside."""
    outside = dict.fromkeys(hook.packages for hook in hooks if hook.packages)
    return {place: f"{PACKAGES}/{number}" for number, place in enumerate(outside)}
