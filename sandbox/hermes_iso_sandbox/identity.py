"""Who an agent is on the host: never uid 0. An ordinary user's agents are that user; a root gateway's are a uid of their own.

A root gateway can't just hand its homes to another uid: that uid may neither enter /root nor write what root owns, and changing
owners would break the home for everybody else. So each directory that a sandbox shows is cloned as a detached mount whose ids
are mapped: what its owner owns belongs, seen through that mount, to the agent's uid, and what the agent writes lands on disk as
the owner's. The gateway makes the mounts, because the file system's own user namespace is the host's; the keeper places them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace

from hermes_iso_sandbox.confinement import Bind, Confinement
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.keeper import STAGE
from hermes_iso_sandbox.launch import Keeper, scratch_namespace
from hermes_iso_sandbox.mounts import clone_mount, map_owners

HOST_UIDS = range(2_000_000, 2_131_072)
"""The host uids below a root gateway's keeper by default; there they are 0, 1, 2, ..., and the first is the keeper's own."""


def passing(uids: range) -> range:
    """Return the uids that are given to sandboxes in passing, the keeper's own among them: the first half."""
    return uids[: len(uids) // 2]


def fixed(uids: range) -> range:
    """Return the uids that are fixed to agents: see `Confinement.uid`."""
    return uids[len(uids) // 2 :]


def is_mapped() -> bool:
    """Return whether agents get uids of their own here: only root can give any."""
    return os.geteuid() == 0


def places(confinement: Confinement) -> tuple[Bind, ...]:
    """Return the host's places that a confinement shows."""
    return confinement.binds or (Bind(os.path.realpath(confinement.home), "/home/agent", writable=True),)


@asynccontextmanager
async def shown(
    confinement: Confinement, keeper: Keeper, *, number: int, uid: int
) -> AsyncIterator[tuple[Confinement, list[int]]]:
    """Yield the confinement with the paths that bwrap shall bind, and the detached mounts to place at STAGE/NUMBER for it.

    uid: the agent's, as the keeper counts. Raises SandboxError when a directory can't be shown.
    """
    binds = places(confinement)
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
                _map_or_keep(mounts[-1], namespaces[owner], fixed=confinement.uid is not None)
        except OSError as error:
            raise SandboxError(f"{bind.source} can't be shown in a sandbox: {error.strerror}.") from error
        yield replace(confinement, binds=staged), mounts


def _map_or_keep(mount: int, namespace: int, *, fixed: bool) -> None:
    """Map the owners of a mount; where the file system can't, that is as good if its files belong to the fixed uid."""
    try:
        map_owners(mount, namespace)
    except OSError as error:
        if not (fixed and error.errno == errno.EINVAL):
            raise


def try_mapping(path: str) -> None:
    """Try whether owners of files can be mapped at a path. Raises OSError, SandboxError."""
    with ExitStack() as stack:
        mount = clone_mount(path)
        stack.callback(os.close, mount)
        map_owners(mount, stack.enter_context(scratch_namespace(HOST_UIDS.start, os.fstat(mount))))
