"""How long B's turns take while A attacks, next to how long they take otherwise, on either side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from bench.vs_hermes.probes.kit import A, B, NotRunError, control, script, shown, why_not_run
from bench.vs_hermes.probes.shares import seconds_of
from bench.vs_hermes.sides import Side, SideError

_CPU = """\
for i in 1 2 3 4; do (end=$((SECONDS+$1)); while [ $SECONDS -lt $end ]; do :; done) & done; wait
"""
_MEMORY = """\
end=$((SECONDS+$1)); while [ $SECONDS -lt $end ]; do head -c 1500000000 /dev/zero | tail -n 1 | wc -c; done
"""
_FORKS = """\
end=$((SECONDS+$1)); while [ $SECONDS -lt $end ]; do for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true & done; wait; done
"""
_OUTPUT = """\
end=$((SECONDS+$1)); while [ $SECONDS -lt $end ]; do head -c 3000000 /dev/zero | tr '\\0' 'x'; done
"""


async def _spin(side: Side, seconds: int) -> None:
    answer = await side.tool(A, "bench_probe", {"action": "spin", "value": str(seconds)})
    if '"pid"' not in answer:
        raise NotRunError("no plugin runs there")


def _scripted(text: str, name: str) -> Callable[[Side, int], Awaitable[None]]:
    async def attack(side: Side, seconds: int) -> None:
        path = await script(side, text, name)
        end = time.monotonic() + seconds
        while time.monotonic() < end:  # a side that stops such a turn is attacked again
            try:
                await side.run(A, f"bash {path} {max(1, int(end - time.monotonic()))} | tail -c 100")
            except SideError:
                await trio.sleep(0.05)

    return attack


async def _turns(side: Side, seconds: int) -> None:
    """Keep eight clients asking A."""
    end = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < end:
            await side.complete(A, "hello")

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(client)


ATTACKS: Mapping[str, Callable[[Side, int], Awaitable[None]]] = {
    "a plugin computes": _spin,
    "4 busy processes": _scripted(_CPU, "cpu.sh"),
    "takes 1.5 GB, again and again": _scripted(_MEMORY, "memory.sh"),
    "starts processes without end": _scripted(_FORKS, "forks.sh"),
    "prints without end": _scripted(_OUTPUT, "output.sh"),
    "8 clients ask without pause": _turns,
}
BEGUN = 0.5
"""Seconds that an attack has before B is timed."""


async def _during(side: Side, attack: Callable[[Side, int], Awaitable[None]], seconds: int) -> list[float]:
    """Return how long B's turns took that began during an attack of A's. Raises NotRunError when it can't be made."""
    found: list[float] = []
    failed: list[NotRunError] = []
    ended = trio.Event()

    async def attacking() -> None:
        try:
            await attack(side, seconds)
        except NotRunError as error:
            failed.append(error)
        finally:
            ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(attacking)
        await trio.sleep(BEGUN)
        while not ended.is_set() and len(found) < 200:
            found.append(await seconds_of(side, B))
    if failed:
        raise failed[0]
    return found


async def measure(sides: Sequence[Side], name: str, *, rounds: int, turns: int, seconds: int) -> dict[str, Any]:
    """Return B's p50 without and with one attack, for each side, in milliseconds."""
    found: dict[str, Any] = {}
    for side in sides:
        quiet: list[float] = []
        attacked: list[float] = []
        try:
            for _ in range(rounds):
                quiet += [await seconds_of(side, B) for _ in range(turns)]
                attacked += await _during(side, ATTACKS[name], seconds)
                await trio.sleep(0.5)
            control(attacked, "the attack ended before B was asked")
        except Exception as error:  # noqa: BLE001  # what has another reason is raised again
            found[side.name] = {"not_run": shown(side, why_not_run(error))}
            continue
        usual, now = statistics.median(quiet), statistics.median(attacked)
        found[side.name] = {
            "quiet_p50_ms": round(usual * 1e3, 1),
            "attacked_p50_ms": round(now * 1e3, 1),
            "attacked_max_ms": round(max(attacked) * 1e3, 1),
            "ratio": round(now / usual, 2),
            "n": len(attacked),
        }
    return found
