"""Memory by number of agents: ours, the peer's one process for all, and one gateway of the peer's for each."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import trio

from bench.vs_hermes.homes import Plan
from bench.vs_hermes.sides import OURS, PEER, Setting, Side, SideError, start

SEPARATE_MB, SPARE_MB = 220.0, 1500.0
"""What one more gateway needs at most, and what the machine keeps."""
SETTLE = 1.0
COOL = 22.0
"""Seconds after which nobody of the agents that were asked is kept ready for another turn: those are idle."""


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"agent{number:03}" for number in range(1, count))


def available_mb() -> float:
    """Return the memory that programs may still take, in megabytes."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))) / 1e3


async def _asked(side: Side) -> tuple[float, int]:
    """Have every agent take one turn; return the first one's seconds, and how many answered."""
    first, answered = 0.0, 0
    for agent in ("main", *side.plan.agents):
        start_time = time.monotonic()
        try:
            answered += "echo: hello" in await side.ask(agent, "hello")
        except (SideError, httpx.HTTPError):
            continue
        first = first or time.monotonic() - start_time
    return first, answered


async def together(name: str, count: int, model: str, setting: Setting) -> dict[str, Any]:
    """Return what one gateway of a side needs that serves `count` agents, each of which has taken a turn."""
    async with start(name, Plan.of(model, _names(count)), setting, name=f"{name}-{count}") as side:
        await trio.sleep(SETTLE)
        fresh = side.pss_mb()
        first, answered = await _asked(side)
        await trio.sleep(COOL)
        return {
            "agents": count,
            "answered": answered,
            "ready_s": round(side.ready, 2),
            "first_turn_s": round(first, 2),
            "fresh_mb": round(fresh, 1),
            "used_mb": round(side.pss_mb(), 1),
        }


async def separate(counts: tuple[int, ...], model: str, setting: Setting, seconds: float) -> dict[str, Any]:
    """Return what a gateway of the peer's for each agent needs, by their number: as many as fit the memory and the time."""
    found: dict[str, Any] = {}
    deadline = time.monotonic() + seconds
    async with AsyncExitStack() as stack:
        sides: list[Side] = []
        for count in counts:
            fits = available_mb() - SPARE_MB > SEPARATE_MB * (count - len(sides))
            pace = (time.monotonic() - deadline + seconds) / len(sides) if sides else 0.0
            if not fits or time.monotonic() + pace * (count - len(sides)) > deadline:
                found[str(count)] = {"not_run": "does not fit the memory" if not fits else f"takes more than {seconds:.0f} s"}
                break
            for number in range(len(sides), count):
                plan = Plan.of(model, ())
                side = await stack.enter_async_context(start(PEER, plan, setting, name=f"separate-{number}"))
                await side.ask("main", "hello")
                sides.append(side)
            await trio.sleep(SETTLE)
            found[str(count)] = {"agents": count, "used_mb": round(sum(side.pss_mb() for side in sides), 1)}
    return found


def slope(rows: dict[str, Any]) -> float | None:
    """Return the megabytes of each further agent, from the smallest number of at least 2 to the largest."""
    used = sorted((row["agents"], row["used_mb"]) for row in rows.values() if "used_mb" in row)
    used = [row for row in used if row[0] >= 2]
    if len(used) < 2:
        return None
    (few, least), (many, most) = used[0], used[-1]
    return round((most - least) / (many - few), 2)


SIDES = (PEER, OURS)
