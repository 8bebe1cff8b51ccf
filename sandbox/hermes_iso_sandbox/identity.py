"""Who an agent is on the host: never uid 0. An ordinary user's agents are that user; a root gateway's are a uid of their own.

A root gateway can't just hand its homes to another uid: that uid may neither enter /root nor write what root owns, and changing
owners would break the home for everybody else. So each directory that a sandbox shows is cloned as a detached mount whose ids
are mapped: what its owner owns belongs, seen through that mount, to the agent's uid, and what the agent writes lands on
disk as the owner's. `guest`-side code plays no part in it; `idmap.py` does it in a process of its own before bwrap starts.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from hermes_iso_sandbox.bwrap import System
from hermes_iso_sandbox.confinement import Bind, Confinement

HOST_UIDS = range(2_000_000, 2_065_536)
STAGE = "/mnt"
"""Where the launcher, in a mount namespace of its own, puts the cloned mounts for bwrap to find."""


LAUNCHER = (sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name("idmap.py")))


@dataclass(frozen=True, slots=True)
class Identity:
    """How a sandbox is started: the confinement and system with the paths that bwrap shall use, and what runs before bwrap.

    prefix: argv before bwrap's own; empty for an ordinary user. order: what the launcher reads from its descriptor.
    """

    confinement: Confinement
    system: System
    prefix: tuple[str, ...] = ()
    order: bytes = b""


def identify(confinement: Confinement, system: System, uid: int) -> Identity:
    """Return how the gateway's own uid has to start this sandbox."""
    if os.geteuid() != 0:
        return Identity(confinement, system)
    return mapped(confinement, system, uid if confinement.uid is None else confinement.uid)


def mapped(confinement: Confinement, system: System, uid: int) -> Identity:
    """Return how a root gateway starts it as `uid`: binds through id-mapped mounts, the interpreter through a plain one."""
    binds = confinement.binds or (Bind(os.path.realpath(confinement.home), "/home/agent", writable=True),)
    mounts = [{"source": bind.source, "target": f"{STAGE}/{n}", "mapped": True} for n, bind in enumerate(binds)]
    staged = tuple(replace(bind, source=f"{STAGE}/{n}") for n, bind in enumerate(binds))
    if system.python_source:
        mounts.append({"source": system.python_source, "target": f"{STAGE}/python", "mapped": False})
        system = replace(system, python_source=f"{STAGE}/python")
    return Identity(
        replace(confinement, binds=staged),
        system,
        prefix=LAUNCHER,
        order=json.dumps({"uid": uid, "stage": STAGE, "mounts": mounts, "fixed": confinement.uid is not None}).encode(),
    )
