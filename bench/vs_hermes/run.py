"""The whole comparison: its parts one after the other, every figure kept as soon as there is one."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.vs_hermes import attacks, latency, leaks, memory
from bench.vs_hermes.homes import Plan
from bench.vs_hermes.latency import Cell
from bench.vs_hermes.probes.kit import A, B
from bench.vs_hermes.report import SEPARATE, SIDES, cell_name
from bench.vs_hermes.sides import OURS, PEER, ROOT, Setting, Side, start

PARTS = ("leaks", "latency", "memory", "attacks")
LATENCY_AGENTS = (A, B, "carol", "dave")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; `seconds` after its gateways serve, a part begins nothing new."""

    name: str
    cells: tuple[Cell, ...]
    rounds: int
    together: tuple[int, ...]
    more: tuple[int, ...]
    separate: tuple[int, ...]
    separate_seconds: float
    attacks: tuple[str, ...]
    attack_rounds: int
    attack_turns: int
    attack_seconds: int
    seconds: Mapping[str, float]


def _cells(turns: dict[int, int], delays: Sequence[float]) -> tuple[Cell, ...]:
    return tuple(Cell(delay, kind, clients, turns[clients]) for delay in delays for kind in latency.KINDS for clients in turns)


FULL = Scale(
    name="full",
    cells=_cells({1: 8, 4: 16, 16: 32}, (0.0, 0.2)),
    rounds=4,
    together=(1, 2, 4, 8, 32),
    more=(100,),
    separate=(1, 2, 4, 8, 32),
    separate_seconds=150.0,
    attacks=tuple(attacks.ATTACKS),
    attack_rounds=2,
    attack_turns=10,
    attack_seconds=5,
    seconds={"leaks": 240, "latency": 220, "memory": 260, "attacks": 100},
)
QUICK = Scale(
    name="quick",
    cells=_cells({1: 8, 16: 32}, (0.0,)),
    rounds=1,
    together=(1, 4),
    more=(),
    separate=(1, 2),
    separate_seconds=15.0,
    attacks=("a plugin computes", "4 busy processes"),
    attack_rounds=1,
    attack_turns=6,
    attack_seconds=3,
    seconds={"leaks": 150, "latency": 60, "memory": 150, "attacks": 40},
)


class Book:
    """Keeps what was found, in a file from the first figure on, so that a run that was cut short can go on."""

    def __init__(self, path: Path, run: dict[str, Any], *, resume: bool) -> None:
        self.path = path
        self.result: dict[str, Any] = {"run": run}
        if resume and path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            if all(kept["run"][key] == run[key] for key in ("scale", "engine", "hermes_agent", "hermes_iso")):
                self.result = {**kept, "run": run}
        self._until = 0.0

    def begin(self, seconds: float) -> None:
        """Give the part that begins so many seconds."""
        self._until = time.monotonic() + seconds

    def wants(self, keys: Sequence[str]) -> bool:
        """Return whether something is not there yet."""
        return self._place(keys[:-1]).get(keys[-1]) is None

    async def keep(self, keys: Sequence[str], find: Callable[[], Awaitable[Any]]) -> None:
        """Find a figure that is not there yet, unless it is too late to begin; say so on standard error."""
        if not self.wants(keys):
            return
        name = " / ".join(keys)
        if time.monotonic() > self._until:
            print(f"{name}: no time left", file=sys.stderr)
            return
        found = await find()
        self._place(keys[:-1])[keys[-1]] = found
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")
        print(f"{time.strftime('%H:%M:%S')} {name}: {json.dumps(found)}", file=sys.stderr)

    def _place(self, keys: Sequence[str]) -> dict[str, Any]:
        place = self.result
        for key in keys:
            place = place.setdefault(key, {})
        return place


@contextmanager
def serve_model() -> Iterator[str]:
    """Start the scripted model as a process of its own; give its URL."""
    process = subprocess.Popen([sys.executable, "-m", "bench.vs_hermes.model"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def both_sides(agents: tuple[str, ...], model: str, setting: Setting) -> AsyncIterator[tuple[Side, Side]]:
    """Start both sides on the same homes, in a directory of their own, and have each agent take a turn of each kind."""
    plan = Plan.of(model, agents)
    with tempfile.TemporaryDirectory(dir=setting.work) as name:
        own = Setting(setting.hermes, setting.engine, Path(name))
        async with start(PEER, plan, own) as peer, start(OURS, plan, own) as ours:
            for side in (peer, ours):
                await latency.warm_up(side)
            yield peer, ours


async def _leaks(book: Book, scale: Scale, model: str, setting: Setting) -> None:
    probes = [each for each in leaks.ordered(scale is QUICK) if book.wants(("leaks", each.name))]
    if probes:
        async with both_sides((A, B), model, setting) as sides:
            book.begin(scale.seconds["leaks"])
            for probe in probes:
                await book.keep(("leaks", probe.name), lambda probe=probe: leaks.both(probe, sides))


async def _latency(book: Book, scale: Scale, model: str, setting: Setting) -> None:
    cells = {cell_name(cell.delay, cell.kind, cell.clients): cell for cell in scale.cells}
    if any(book.wants(("latency", name)) for name in cells):
        async with both_sides(LATENCY_AGENTS, model, setting) as sides:
            book.begin(scale.seconds["latency"])
            for name, cell in cells.items():
                find = lambda cell=cell: latency.measure(sides, cell, scale.rounds)  # noqa: E731
                await book.keep(("latency", name), find)


async def _memory(book: Book, scale: Scale, model: str, setting: Setting) -> None:
    book.begin(scale.seconds["memory"])
    for count in scale.together:
        for side in SIDES:
            find = lambda side=side, count=count: memory.together(side, count, model, setting)  # noqa: E731
            await book.keep(("memory", side, str(count)), find)
    for count in scale.more:
        await book.keep(("memory", OURS, str(count)), lambda count=count: memory.together(OURS, count, model, setting))
    find = lambda: memory.separate(scale.separate, model, setting, scale.separate_seconds)  # noqa: E731
    await book.keep(("memory", SEPARATE), find)


async def _attacks(book: Book, scale: Scale, model: str, setting: Setting) -> None:
    names = [name for name in scale.attacks if book.wants(("attacks", name))]
    if names:
        amount = {"rounds": scale.attack_rounds, "turns": scale.attack_turns, "seconds": scale.attack_seconds}
        async with both_sides((A, B), model, setting) as sides:
            book.begin(scale.seconds["attacks"])
            for name in names:
                find = lambda name=name: attacks.measure(sides, name, **amount)  # noqa: E731
                await book.keep(("attacks", name), find)


async def compare(book: Book, scale: Scale, parts: Collection[str], hermes: Path, engine: str) -> None:
    """Run the parts that are asked for. Raises SideError when a side does not start."""
    steps = {"leaks": _leaks, "latency": _latency, "memory": _memory, "attacks": _attacks}
    with tempfile.TemporaryDirectory(prefix="vs_hermes-") as work, serve_model() as model:
        setting = Setting(hermes, engine, Path(work))
        for part in PARTS:
            if part in parts:
                await steps[part](book, scale, model, setting)
