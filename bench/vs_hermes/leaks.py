"""The leak table: every probe on both sides, one after the other, each judged by its own answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from bench.vs_hermes.probes import environment, files, plugins, reach, shares
from bench.vs_hermes.probes.kit import NOT_RUN, Finding, Probe, shown, why_not_run
from bench.vs_hermes.sides import Side

PROBES: tuple[Probe, ...] = (
    *environment.PROBES,
    *files.PROBES,
    *reach.PROBES,
    *plugins.PROBES,
    *shares.PROBES,
)
PROBE_TIMEOUT = 90.0


async def find(probe: Probe, side: Side) -> Finding:
    """Run one probe on one side, within its time."""
    try:
        with trio.fail_after(PROBE_TIMEOUT):
            found = await probe.run(side)
    except Exception as error:  # noqa: BLE001  # what has another reason is raised again
        return Finding(NOT_RUN, shown(side, why_not_run(error)))
    return Finding(found.verdict, shown(side, found.evidence))


def row(probe: Probe, found: Mapping[str, Finding]) -> dict[str, Any]:
    """Return what is kept of a probe: what it looks for, and each side's verdict with its evidence."""
    verdicts = {name: {"verdict": finding.verdict, "evidence": finding.evidence} for name, finding in found.items()}
    return {"what": probe.what, **verdicts}


async def both(probe: Probe, sides: Sequence[Side]) -> dict[str, Any]:
    """Run one probe on each side in turn; return its row."""
    return row(probe, {side.name: await find(probe, side) for side in sides})


def ordered(quick: bool) -> list[Probe]:
    """Return the probes in the order to run them: those that may end a gateway last; the quick ones only where asked."""
    return sorted((each for each in PROBES if not (quick and each.slow)), key=lambda each: each.ends)
