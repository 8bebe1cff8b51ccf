"""Probes of what there is only so much of: processors, memory, processes, places for turns; and the gateway's life."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable

import httpx
import trio

from bench.vs_hermes.probes.kit import A, B, Finding, control, judged, probe, script
from bench.vs_hermes.sides import Side, SideError

SLOWER, AT_LEAST = 2.0, 0.3
"""B counts as slowed down when its turns take that many times as long, and that many seconds longer."""
WAITS = 8
"""Seconds that the model of A's slow turns takes."""
_TURNS = 5


async def seconds_of(side: Side, agent: str, text: str = "hello") -> float:
    """Return how long a turn takes."""
    start = time.perf_counter()
    await side.ask(agent, text)
    return time.perf_counter() - start


async def slowed(
    side: Side,
    attack: Callable[[], Awaitable[object]],
    begun: float = 0.5,
    pick: Callable[[list[float]], float] = statistics.median,
    at_least: float = AT_LEAST,
) -> Finding:
    """Time B's turns before an attack of A's, and those that begin while it lasts; `pick` makes one figure of several."""
    await seconds_of(side, B)
    before = [await seconds_of(side, B) for _ in range(_TURNS)]
    during: list[float] = []
    async with trio.open_nursery() as nursery:
        ended = trio.Event()

        async def attacking() -> None:
            await attack()
            ended.set()

        nursery.start_soon(attacking)
        await trio.sleep(begun)
        while not ended.is_set() and len(during) < _TURNS:
            during.append(await seconds_of(side, B))
    control(during, "the attack ended before B was asked")
    usual, now = pick(before), pick(during)
    slower = now > SLOWER * usual and now > usual + at_least
    return judged(slower, f"B's turn takes {usual * 1e3:.0f} ms, meanwhile {now * 1e3:.0f} ms")


@probe("B waits while a plugin of A's computes")
async def spin(side: Side) -> Finding:
    """Python code holds the interpreter that its process has one of."""
    answer = await side.tool(A, "bench_probe", {"action": "look"})
    control('"pid"' in answer, "no plugin runs there")
    return await slowed(side, lambda: side.tool(A, "bench_probe", {"action": "spin", "value": "6"}))


@probe("B waits while 16 turns of A's wait for their model", slow=True)
async def slow_turns(side: Side) -> Finding:
    # Turns that do nothing but wait take up places.

    async def attack() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(16):
                nursery.start_soon(side.ask, A, f"AFTER {WAITS} hello")

    return await slowed(side, attack, begun=WAITS / 2, pick=max, at_least=WAITS / 2)  # one that waits is one too many


@probe("A's terminal may start 400 processes")
async def many_processes(side: Side) -> Finding:
    """Nobody's machine has any number of them."""
    path = await script(side, "for i in $(seq $1); do sleep 2 & done; jobs -p | wc -l\n", "many.sh")
    control("3" in await side.run(A, f"bash {path} 3"), "A's shell does not count its processes")
    answer = await side.run(A, f"bash {path} 400 2>&1 | tail -n 1")
    await trio.sleep(2.2)
    return judged(answer.strip() == "400", f"started: {answer}")


@probe("A's terminal may take 1.5 GB of memory")
async def much_memory(side: Side) -> Finding:
    """`tail` keeps a line, and this one does not end."""
    control("1000" in await side.run(A, "head -c 1000 /dev/zero | tail -n 1 | wc -c"), "A's terminal can't count bytes")
    try:
        answer = await side.run(A, "head -c 1500000000 /dev/zero | tail -n 1 | wc -c")
    except SideError as error:
        answer = str(error)
    control("hello" in await side.ask(B, "hello"), "B is not answered afterwards")
    return judged("1500000000" in answer, f"bytes kept: {answer}")


@probe("A's terminal kills the process that started it, and B is not answered any more", ends=True)
async def kill_parent(side: Side) -> Finding:
    """Whatever the shell's parent is."""
    await side.ask(B, "hello")
    mark = f"shot-{side.plan.nonce}"
    try:
        done = await side.run(A, f"echo {mark}; kill -9 $PPID; sleep 1")
    except (SideError, httpx.HTTPError) as error:
        done = f"{type(error).__name__}"
    await trio.sleep(1)
    try:
        answer = await side.ask(B, "hello")
    except (SideError, httpx.HTTPError) as error:
        answer = f"{type(error).__name__}"
    return judged("echo: hello" not in answer, f"A's turn: {done}; B's next: {answer}")


PROBES = (spin, slow_turns, many_processes, much_memory, kill_parent)
