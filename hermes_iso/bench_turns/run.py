"""The whole benchmark in one run: what is measured, in which order, on which pools."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from hermes_iso.bench_turns.baseline import open_worker
from hermes_iso.bench_turns.exchange import BenchmarkError
from hermes_iso.bench_turns.latency import PAUSE, interleave, kinds, p50_p99
from hermes_iso.bench_turns.load import activations, active_at_once, confine, memory_at, slope, turns_per_second
from hermes_iso.bench_turns.processes import nothing_left
from hermes_iso_sandbox import PoolLimits, SandboxPool

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: rounds of latencies, fresh agents, idle agents, sessions over agents, seconds of load."""

    rounds: int
    fresh: int = 20
    idle: tuple[int, ...] = (1, 10, 100)
    sessions: tuple[int, ...] = (1, 4, 16, 64)
    agents: int = 8
    load_seconds: float = 2.0

    @classmethod
    def of(cls, rounds: int) -> Scale:
        """Return the usual scale with so many rounds; few of them shorten the rest as well."""
        return cls(rounds, fresh=min(20, rounds), load_seconds=min(2.0, rounds / 50))


def benchmark(directory: Path, scale: Scale, say: Say) -> dict[str, Any]:
    """Return every figure; see `measure`. Raises BenchmarkError as well when a process was left."""
    with nothing_left():
        return trio.run(measure, directory, scale, say)


async def measure(directory: Path, scale: Scale, say: Say) -> dict[str, Any]:
    """Return every figure, by the keys of `bench turns --json`. Homes are made below `directory`; `say` hears the progress.

    Raises BenchmarkError when a turn failed, SandboxError.
    """
    figures = await _compare(directory, scale, say)
    async with SandboxPool() as pool:
        say(f"first turns of {scale.fresh} fresh agents")
        seconds = await activations(pool, directory, scale.fresh)
        figures["activation_ms"] = round(statistics.median(seconds) * 1e3, 2)
        confinements = [confine(directory, f"busy{number}") for number in range(scale.agents)]
        for confinement in confinements:
            await pool.warm(confinement)
        rates = {}
        for sessions in scale.sessions:
            say(f"{scale.load_seconds:g} s of turns of {sessions} sessions over {scale.agents} agents")
            rates[str(sessions)] = round(await turns_per_second(pool, confinements, sessions, scale.load_seconds), 1)
        figures |= {"turns_per_s": rates.get("16"), "turns_per_s_by_sessions": rates}
    return figures | await _crowd(directory, scale, say)


async def _compare(directory: Path, scale: Scale, say: Say) -> dict[str, Any]:
    """Return the interleaved latencies and their ratios."""
    say(f"{scale.rounds} rounds of interleaved turns")
    warm, forked = confine(directory, "warm"), confine(directory, "forked")
    async with (
        open_worker(directory, dict(warm.env)) as worker,
        SandboxPool() as pool,
        SandboxPool(limits=PoolLimits(spares=0)) as without,
    ):
        await pool.warm(warm)
        await without.warm(forked)
        compared = kinds(
            worker.lease, lambda: pool.lease(warm, session="bench"), lambda: without.lease(forked, session="bench")
        )
        times = await interleave(compared, scale.rounds)
    figures: dict[str, Any] = {f"{name}_us": p50_p99([each.reply for each in some]) for name, some in times.items()}
    dead = p50_p99([each.dead for each in times["isolated_echo"]])
    medians = {name: figures[f"{name}_us"]["p50"] for name in times}
    return figures | {
        "ratio_echo": round(medians["isolated_echo"] / medians["warm_echo"], 3),
        "ratio_no_spare_echo": round(medians["isolated_no_spare_echo"] / medians["warm_echo"], 3),
        "ratio_tool": round(medians["isolated_tool"] / medians["warm_tool"], 3),
        "dead_after_reply_ms": round(dead["p50"] / 1e3, 3),
        "dead_after_reply_p99_ms": round(dead["p99"] / 1e3, 3),
        "pause_ms": PAUSE * 1e3,
    }


async def _crowd(directory: Path, scale: Scale, say: Say) -> dict[str, Any]:
    """Return the memory of many idle agents, and that each of them can be active at the same moment."""
    most = max(scale.idle)
    confinements = [confine(directory, f"idle{number}") for number in range(most)]
    async with SandboxPool(limits=PoolLimits(sandboxes=most)) as pool:
        say(f"memory at {', '.join(map(str, scale.idle))} idle agents")
        found = await memory_at(pool, confinements, scale.idle)
        say(f"{most} agents active at once")
        failed = await active_at_once(pool, confinements)
    if failed:
        raise BenchmarkError(f"{len(failed)} of {most} turns failed when all were active at once: {failed[0]}")
    return {
        "mb_per_idle_agent": round(slope(found) / 1e6, 2),
        "mb_by_idle_agents": {str(count): round(size / 1e6, 1) for count, size in found.items()},
        "active_at_once": most,
    }
