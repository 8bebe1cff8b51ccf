"""What many agents cost at once: first turns, memory, turns per second, and a hundred at the same moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import trio

from hermes_iso.bench_turns.exchange import ECHO, BenchmarkError, converse, timed_turn
from hermes_iso.bench_turns.processes import descendants, memory_of
from hermes_iso.leases import PoolLike
from hermes_iso.profiles import Profile, locate_directories
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError


def confine(directory: Path, name: str) -> Confinement:
    """Make a fresh agent's home below `directory` and return its confinement, as the gateway makes it for a turn."""
    home = directory / name
    return Profile(id=name, home=home, directories=locate_directories(home)).confinement()


async def activations(pool: PoolLike, directory: Path, count: int) -> list[float]:
    """Return the seconds of the first turn of `count` fresh agents, from the empty home to the answer."""
    seconds = []
    for number in range(count):
        began = time.perf_counter()
        confinement = confine(directory, f"new{number}")
        timed = await timed_turn(pool.lease(confinement, session="bench"), ECHO)
        seconds.append(time.perf_counter() - began - timed.dead)
    return seconds


async def memory_at(pool: PoolLike, confinements: Sequence[Confinement], counts: Sequence[int]) -> dict[int, int]:
    """Return the bytes of everything below the pool at so many idle agents, each with its spare; see `memory_of`."""
    others = descendants()
    found = {}
    for number, confinement in enumerate(confinements[: max(counts)], start=1):
        await pool.warm(confinement)
        if number in counts:
            await _settled()
            found[number] = memory_of(descendants() - others)
    return found


async def _settled() -> None:
    """Wait until the spares that were just forked have confined themselves: until then they hold less than they will."""
    await trio.sleep(0.5)


def slope(found: dict[int, int]) -> float:
    """Return the bytes of each further agent: between the last two counts, where what is shared has been paid for."""
    (fewer, small), (more, large) = sorted(found.items())[-2:]
    return (large - small) / (more - fewer)


async def turns_per_second(pool: PoolLike, confinements: Sequence[Confinement], sessions: int, seconds: float) -> float:
    """Return how many turns a second so many sessions get, spread over the agents; a turn counts when all of it is dead."""
    deadline = time.perf_counter() + seconds
    ended: list[float] = []

    async def session(number: int) -> None:
        confinement = confinements[number % len(confinements)]
        while time.perf_counter() < deadline:
            await timed_turn(pool.lease(confinement, session=str(number)), ECHO)
            ended.append(time.perf_counter())

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(sessions):
            nursery.start_soon(session, number)
    return len(ended) / (max(ended) - began)


async def active_at_once(pool: PoolLike, confinements: Sequence[Confinement]) -> list[str]:
    """Take one turn of every agent, none of which begins before all are leased; return what failed."""
    failed: list[str] = []
    awaited = set(confinements)
    all_here = trio.Event()

    def arrived(confinement: Confinement) -> None:
        awaited.discard(confinement)
        if not awaited:
            all_here.set()

    async def turn(confinement: Confinement) -> None:
        try:
            async with pool.lease(confinement, session="bench") as lease:
                arrived(confinement)
                await all_here.wait()
                await converse(lease, ECHO)
        except (SandboxError, BenchmarkError) as error:
            failed.append(str(error))
            arrived(confinement)

    async with trio.open_nursery() as nursery:
        for confinement in confinements:
            nursery.start_soon(turn, confinement)
    return failed
