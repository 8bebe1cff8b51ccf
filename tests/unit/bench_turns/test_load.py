"""Load: what is counted, and that failures are."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from hermes_iso.bench_turns.exchange import ECHO, BenchmarkError
from hermes_iso.bench_turns.load import activations, active_at_once, slope, turns_per_second
from hermes_iso_sandbox import Confinement, SandboxError, wire


class FakePool:
    """A pool without processes; leases of the homes in `broken` fail, and `answer` is what the others say."""

    def __init__(self, *broken: str, answer: str = ECHO.text) -> None:
        self.broken, self.answer = broken, answer
        self.leased: list[str] = []
        self.most = self.open = 0

    @contextlib.asynccontextmanager
    async def lease(self, confinement: Confinement, *, session: str) -> AsyncIterator[FakePool]:
        """Lease nothing."""
        await trio.lowlevel.checkpoint()
        if confinement.home.name in self.broken:
            raise SandboxError("no more processes")
        self.leased.append(confinement.home.name)
        self.open += 1
        self.most = max(self.most, self.open)
        yield self
        self.open -= 1

    async def send(self, message: wire.HostMessage) -> None:
        """Take a request."""

    async def receive(self) -> wire.GuestMessage:
        """Answer, after everybody else could run."""
        await trio.lowlevel.checkpoint()
        return wire.TurnDone(self.answer)


def some(count: int) -> list[Confinement]:
    """Return confinements of homes h0, h1 and so on."""
    return [Confinement(home=Path(f"/h{number}")) for number in range(count)]


async def test_active_at_once_holds_every_lease_before_the_first_turn_begins():
    """What is called at once is at once: all leases are open together."""
    pool = FakePool()
    assert await active_at_once(pool, some(5)) == []
    assert pool.most == 5


async def test_active_at_once_tells_failures_and_does_not_wait_for_them():
    """A lease that can't be had neither goes unnoticed nor stops the others."""
    assert await active_at_once(FakePool("h1", "h3"), some(5)) == ["no more processes"] * 2
    assert len(await active_at_once(FakePool(answer="wrong"), some(2))) == 2


async def test_turns_per_second_spreads_the_sessions_over_the_agents():
    """Every agent gets turns, and a failed one ends the measurement."""
    pool = FakePool()
    assert await turns_per_second(pool, some(2), 4, 0.02) > 0
    assert set(pool.leased) == {"h0", "h1"}
    with pytest.raises(BaseExceptionGroup) as caught:
        await turns_per_second(FakePool(answer="wrong"), some(1), 1, 0.02)
    assert caught.value.subgroup(BenchmarkError) is not None


async def test_activation_is_of_a_fresh_agent_each_time(tmp_path):
    """Each first turn has a home of its own that was not there before."""
    pool = FakePool()
    assert len(await activations(pool, tmp_path, 3)) == 3
    assert sorted(pool.leased) == sorted(each.name for each in tmp_path.iterdir()) == ["new0", "new1", "new2"]


def test_slope_is_between_the_last_two_counts():
    """What the first agent pays for all is not counted as the price of a further one."""
    assert slope({1: 100, 10: 145, 100: 595}) == 5
