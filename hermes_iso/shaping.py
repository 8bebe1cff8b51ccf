"""Shaping: what a grant of tools leaves of a sandbox; pure.

This is the one place where the names of tools become rights that a kernel knows. The agent's sandbox allows what any of its
platforms may need. What one platform needs less is a Narrowing of that turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from hermes_iso.engines import Tools
from hermes_iso.tools import TOOLS
from hermes_iso_sandbox import Confinement, Narrowing


@dataclass(frozen=True, slots=True)
class Needs:
    """What a grant needs of the kernel: to start programs, and to write where the agent works."""

    execute: bool
    write: bool


def needs_of(granted: Iterable[str], tools: Tools = TOOLS) -> Needs:
    """Return what tools need, as an engine has them; one that it does not offer needs nothing."""
    specs = [tools[name] for name in granted if name in tools]
    return Needs(execute=any(spec.executes for spec in specs), write=any(spec.writes for spec in specs))


def shaped(confinement: Confinement, needs: Needs, workplaces: Collection[str]) -> Confinement:
    """Return a confinement without what is not needed: no program starts, the workplaces are read-only."""
    binds = confinement.binds
    if not needs.write:
        binds = tuple(replace(bind, writable=bind.writable and bind.target not in workplaces) for bind in binds)
    return replace(confinement, binds=binds, execute=needs.execute)


def narrowing(agent: Needs, turn: Needs, workplaces: Iterable[str]) -> Narrowing:
    """Return what a turn has to give up of its agent's sandbox, which was shaped by `agent`."""
    return Narrowing(
        execute=turn.execute or not agent.execute,
        read_only=[] if turn.write or not agent.write else list(workplaces),
    )
