"""Latency, throughput and processor time of turns, the two sides taking small batches in turns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import trio

from bench.vs_hermes.sides import Side, SideError

KINDS = {"no tool": "hello", "one tool": "RUN true"}
SETTLE = 0.3
"""Seconds until what a turn leaves behind has ended and its processor time is counted."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured: how long the model takes (seconds), the kind of turn, how many clients at once, turns a batch."""

    delay: float
    kind: str
    clients: int
    turns: int

    @property
    def text(self) -> str:
        """What each client says."""
        return f"AFTER {self.delay} {KINDS[self.kind]}" if self.delay else KINDS[self.kind]


@dataclass(slots=True)
class Sample:
    """What the batches of one side add up to."""

    seconds: list[float] = field(default_factory=list)
    elapsed: float = 0.0
    cpu: float = 0.0
    failed: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return the figures that are kept."""
        found: dict[str, Any] = {"n": len(self.seconds), "failed": len(self.failed)}
        if self.failed:
            found["failure"] = self.failed[0]
        if self.seconds:
            found |= {
                "p50_ms": round(quantile(self.seconds, 0.5) * 1e3, 1),
                "p95_ms": round(quantile(self.seconds, 0.95) * 1e3, 1),
                "turns_per_s": round(len(self.seconds) / self.elapsed, 2),
                "cpu_ms_per_turn": round(self.cpu / len(self.seconds) * 1e3, 1),
            }
        return found


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


async def batch(side: Side, cell: Cell, sample: Sample) -> None:
    """Have as many clients as the cell says take its turns among them, each going on to the next at once."""
    left = iter(range(cell.turns))
    agents = side.plan.agents

    async def client(number: int) -> None:
        for turn in left:
            start = time.perf_counter()
            try:
                await side.ask(agents[(number + turn) % len(agents)], cell.text)
            except (SideError, httpx.HTTPError) as error:
                sample.failed.append(f"{type(error).__name__}: {error}"[:200])
            else:
                sample.seconds.append(time.perf_counter() - start)

    spent, start = side.cpu_seconds(), time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(cell.clients):
            nursery.start_soon(client, number)
    sample.elapsed += time.perf_counter() - start
    await trio.sleep(SETTLE)
    sample.cpu += side.cpu_seconds() - spent


async def warm_up(side: Side) -> None:
    """Have every agent take a turn of each kind before anything is timed."""
    for text in KINDS.values():
        for agent in side.plan.agents:
            await side.ask(agent, text)


async def measure(sides: Sequence[Side], cell: Cell, rounds: int) -> dict[str, Any]:
    """Return the figures of one cell for each side; every round has one batch of each."""
    samples = {side.name: Sample() for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            await batch(side, cell, samples[side.name])
    return {name: sample.figures() for name, sample in samples.items()}
