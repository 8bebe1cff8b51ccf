"""Try a whole sandbox: the one proof that everything which a turn needs is there, the guest's own code included."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.capability import Check
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError, UnsupportedSandboxError
from hermes_iso_sandbox.pool import LeasingPool
from hermes_iso_sandbox.sandbox import PoolLimits

TIMEOUT = 30.0
_REQUEST = wire.TurnRequest("trial", "agent", "key", "session", "hello", [], "", "", [], 1, "echo")


async def try_sandbox() -> Check:
    """Take one turn in a throw-away sandbox and say how that went. Cancelling ends it."""
    try:
        with tempfile.TemporaryDirectory(prefix="hermes-iso-trial-") as home, anyio.fail_after(TIMEOUT):
            confinement = Confinement(home=Path(home).resolve(), cwd="/home/agent", env=(("PATH", "/usr/bin:/bin"),))
            async with LeasingPool(limits=PoolLimits(spares=0)) as pool, pool.lease(confinement, session="trial") as lease:
                await lease.send(_REQUEST)
                answer = await lease.receive()
                hidden = pool.interpreter_hidden
    except UnsupportedSandboxError as error:
        return Check("trial", False, "no turn can be taken", str(error))
    except (SandboxError, TimeoutError, OSError) as error:
        fix = "If all of the above is ok, this installation is broken: install hermes-iso anew."
        return Check("trial", False, str(error).rstrip(".") or f"no turn ended within {TIMEOUT:g} s", fix)
    if answer != wire.TurnDone(_REQUEST.text):
        return Check("trial", False, f"a turn answered {str(answer)[:200]}", "Install hermes-iso anew.")
    found = "a turn was taken in a sandbox, and nothing of it is left"
    seen = "" if hidden else "; agents can see where the interpreter lies, because no overlayfs can be mounted here"
    return Check("trial", True, found + seen)
