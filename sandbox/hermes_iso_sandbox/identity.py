"""Who an agent is on the host: never uid 0. An ordinary user's agents are that user; a root gateway's are a uid of their own.

A root gateway can't just hand its homes to another uid: that uid may neither enter /root nor write what root owns, and changing
owners would break the home for everybody else. So each directory that a sandbox shows is cloned as a detached mount whose ids
are mapped: what its owner owns belongs, seen through that mount, to the agent's uid, and what the agent writes lands on disk as
the owner's. The gateway makes the mounts, because the file system's own user namespace is the host's; the keeper places them.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace

from hermes_iso_sandbox.confinement import Bind, Confinement
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.keeper import STAGE
from hermes_iso_sandbox.launch import Keeper
from hermes_iso_sandbox.mounts import clone_mount, map_owners

HOST_UIDS = range(2_000_000, 2_065_536)
"""The host uids below a root gateway's keeper, where they are 0, 1, 2, ...; the first is the keeper's own."""


def is_mapped() -> bool:
    """Return whether agents get uids of their own here: only root can give any."""
    return os.geteuid() == 0


@asynccontextmanager
async def shown(
    confinement: Confinement, keeper: Keeper, *, number: int, uid: int
) -> AsyncIterator[tuple[Confinement, list[int]]]:
    """Yield the confinement with the paths that bwrap shall bind, and the detached mounts to place at STAGE/NUMBER for it.

    uid: the agent's, as the keeper counts. Raises SandboxError when a directory can't be shown.
    """
    binds = confinement.binds or (Bind(os.path.realpath(confinement.home), "/home/agent", writable=True),)
    if not is_mapped():
        yield replace(confinement, binds=binds), []
        return
    staged = tuple(replace(bind, source=f"{STAGE}/{number}/{place}") for place, bind in enumerate(binds))
    with ExitStack() as stack:
        mounts: list[int] = []
        namespaces: dict[tuple[int, int], int] = {}
        try:
            for bind in binds:
                mounts.append(clone_mount(bind.source))
                stack.callback(os.close, mounts[-1])
                status = os.fstat(mounts[-1])
                owner = status.st_uid, status.st_gid
                if owner not in namespaces:
                    namespaces[owner] = await keeper.owner_map(*owner, uid)
                    stack.callback(os.close, namespaces[owner])
                map_owners(mounts[-1], namespaces[owner])
        except OSError as error:
            raise SandboxError(f"{bind.source} can't be shown in a sandbox: {error.strerror}.") from error
        yield replace(confinement, binds=staged), mounts
