"""Interleaving, and the figures that come of the times."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from hermes_iso.bench_turns.exchange import ECHO
from hermes_iso.bench_turns.latency import WARM_UP, interleave, p50_p99, percentile
from hermes_iso_sandbox import wire


class Echo:
    """A lease that echoes, and notes when it was opened."""

    def __init__(self, name: str, order: list[str]) -> None:
        self._name, self._order = name, order

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[Echo]:
        """Open it."""
        self._order.append(self._name)
        yield self

    async def send(self, message: wire.HostMessage) -> None:
        """Take the request."""

    async def receive(self) -> wire.GuestMessage:
        """Answer."""
        return wire.TurnDone(ECHO.text)


async def test_every_round_takes_one_of_each_and_begins_with_another(autojump_clock):
    """No kind has the machine to itself, and none always follows the same one first."""
    order: list[str] = []
    compared = {name: (Echo(name, order).lease, ECHO) for name in "abc"}
    found = await interleave(compared, 4)
    assert {name: len(times) for name, times in found.items()} == {"a": 4, "b": 4, "c": 4}
    rounds = ["".join(order[at : at + 3]) for at in range(0, len(order), 3)]
    assert len(rounds) == WARM_UP + 4
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert rounds[:4] == ["abc", "bca", "cab", "abc"]


def test_percentiles_are_values_that_were_measured():
    """Of a hundred values the 99th percentile is the largest, of one it is that one."""
    assert percentile([float(n) for n in range(100, 0, -1)], 0.99) == 100
    assert percentile([7.0], 0.99) == 7
    assert p50_p99([0.001, 0.002, 0.009]) == {"p50": pytest.approx(2000), "p99": pytest.approx(9000)}
