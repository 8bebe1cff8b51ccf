"""A process that holds a sandbox and is then killed: `python -m hermes_iso.prove.launcher HOME MARK`, for the probe P08."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from hermes_iso_sandbox import Confinement, SandboxPool


async def hold(home: Path, mark: str) -> None:
    """Keep a background process with `mark`-inside in its command line running in a sandbox, for ever."""
    confinement = Confinement(home=home, cwd="/home/agent", env=(("PATH", "/usr/bin:/bin"), ("HOME", "/home/agent")))
    async with SandboxPool() as pool, pool.lease(confinement, session="s") as lease:
        await lease.processes.start(
            f"setsid sh -c 'trap \"\" TERM HUP; sleep 120; : {mark}-inside' & sleep 120", cwd=None, env={}
        )
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(hold, Path(sys.argv[1]), sys.argv[2])
