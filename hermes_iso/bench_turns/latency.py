"""Interleaved latencies: each round takes one turn of every kind, so that all of them meet the same noise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

import trio

from hermes_iso.bench_turns.exchange import ECHO, TOOL, Timed, timed_turn
from hermes_iso.leases import LeaseLike
from hermes_iso_sandbox import wire

PAUSE = 0.02
"""Seconds between turns: real messages leave at least as much, and in it the next spare is forked."""
WARM_UP = 5
"""Rounds that are not counted."""

Open = Callable[[], AbstractAsyncContextManager[LeaseLike]]


def kinds(warm: Open, spare: Open, forked: Open) -> dict[str, tuple[Open, wire.TurnRequest]]:
    """Return what is compared: name to how its process is had and what it is asked.

    warm: the process without isolation. spare: a lease that finds a spare. forked: one that has to fork.
    """
    return {
        "warm_echo": (warm, ECHO),
        "isolated_echo": (spare, ECHO),
        "isolated_no_spare_echo": (forked, ECHO),
        "warm_tool": (warm, TOOL),
        "isolated_tool": (spare, TOOL),
    }


async def interleave(
    compared: Mapping[str, tuple[Open, wire.TurnRequest]], rounds: int, *, pause: float = PAUSE
) -> dict[str, list[Timed]]:
    """Return the times of `rounds` turns of each kind. Every round begins with another kind. Raises BenchmarkError."""
    names = [*compared]
    found: dict[str, list[Timed]] = {name: [] for name in names}
    for number in range(WARM_UP + rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            await trio.sleep(pause)
            open_one, request = compared[name]
            timed = await timed_turn(open_one(), request)
            if number >= WARM_UP:
                found[name].append(timed)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the values lie: the nearest that was measured."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def p50_p99(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and 99th percentile in microseconds."""
    return {"p50": round(statistics.median(seconds) * 1e6, 1), "p99": round(percentile(seconds, 0.99) * 1e6, 1)}
