"""`exec`: a command in an agent's sandbox, through the running gateway of the home or in this process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import App, Parameter

from hermes_iso.cli.options import HomeOption, find_home
from hermes_iso.cli.reach import reach
from hermes_iso.cli.streams import guarded_streams
from hermes_iso.errors import UsageError


def add_commands(app: App) -> None:
    """Add `exec`."""
    app.command(run_inside, name="exec")


def run_inside(
    *argv: Annotated[str, Parameter(allow_leading_hyphen=True, help="The command, behind `--`.")],
    agent: Annotated[str, Parameter(help="In whose sandbox.")],
    timeout: Annotated[float | None, Parameter(help="Seconds after which it is ended (exit 124).")] = None,
    home: HomeOption = None,
) -> int:
    """Run a command in exactly the sandbox that a turn of an agent gets; its exit status is the command's."""
    if not argv:
        raise UsageError("What to run is missing: hermes-iso exec --agent NAME -- ARGV…")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise UsageError(f"--timeout must be a number of seconds above 0, and {timeout:g} is not.")
    sys.stdout.flush()
    return trio.run(_exec, find_home(home), agent, argv, timeout)


async def _exec(home: Path, agent: str, argv: Sequence[str], timeout: float | None) -> int:
    async with reach(home) as gateway, guarded_streams() as stdio:
        return await gateway.exec_command(agent, argv, stdio=stdio, timeout=timeout)
