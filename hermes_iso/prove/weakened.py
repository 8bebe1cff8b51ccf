"""A pool whose sandboxes lack named layers: the self-test shows with it that a probe sees the hole that its layer closes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from hermes_iso.profiles import AGENT_DIRECTORIES
from hermes_iso.prove.probe import HOST_LAYERS
from hermes_iso_sandbox import Bind, Confinement, Lease, Limits, SandboxPool

WITHOUT_LIMITS = Limits(
    address_space=1 << 46,
    processes=1 << 20,
    open_files=1 << 19,
    file_size=1 << 40,
    cpu_seconds=1 << 30,
    tmp_bytes=4 << 30,
    memory=None,
    cpu=None,
    disk=None,
    inodes=None,
)


class WeakenedPool(SandboxPool):
    """Switches layers off in every sandbox; what runs in it is only ever the suite's own probes.

    view: `place`, where the suite keeps what no agent may see, is shown as it is. environment: `env` arrives inside.
    Landlock is always off: it is a second word on what other layers decide, and would hide that one of them is missing.
    limits: none worth the name. grant: agents without tools that write or start programs get what those need. tenant: every
    agent gets the sandbox of `first`. session: all sessions are one.
    """

    def __init__(self, layers: frozenset[str], *, place: Path, env: tuple[tuple[str, str], ...], first: Confinement) -> None:
        super().__init__()
        self.shared = layers & {"net", "ipc", "proc"}
        self._layers = layers
        self._place = place
        self._env = env
        self._first = first

    @asynccontextmanager
    async def lease(self, confinement: Confinement, *, session: str) -> AsyncIterator[Lease]:
        """Lease a turn process in a weakened sandbox."""
        name = "one" if "session" in self._layers else session
        async with super().lease(self._weakened(confinement), session=name) as lease:
            yield lease

    async def warm(self, confinement: Confinement) -> None:
        """Make a weakened sandbox."""
        await super().warm(self._weakened(confinement))

    def _weakened(self, confinement: Confinement) -> Confinement:
        if "tenant" in self._layers:
            confinement = self._first
        changed = replace(confinement, without=self._layers - HOST_LAYERS | {"landlock"})
        if "environment" in self._layers:
            changed = replace(changed, env=(*changed.env, *self._env))
        if "limits" in self._layers:
            changed = replace(changed, limits=WITHOUT_LIMITS)
        if "grant" in self._layers:
            own = AGENT_DIRECTORIES.values()
            binds = tuple(replace(bind, writable=bind.writable or bind.target in own) for bind in changed.binds)
            changed = replace(changed, execute=True, binds=binds)
        if "view" in self._layers:
            shown = Bind(str(self._place), str(self._place), writable=True)
            changed = replace(changed, binds=(*changed.binds, shown), symlinks=())
        return changed
