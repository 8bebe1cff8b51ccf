"""Which key of a pool is taken, and for how long one rests."""

from __future__ import annotations

from collections import Counter

import pytest

from hermes_iso.hermes.key_pool import KeyPool
from hermes_iso.hermes.resolved import PoolKey

KEYS = (PoolKey("a"), PoolKey("b"), PoolKey("c"))


class Clock:
    """Tells the time that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(pool: KeyPool, times: int) -> list[str]:
    """Take and use the first key so many times."""
    found = []
    for _ in range(times):
        found.append(pool.take()[0])
        pool.used(found[-1])
    return found


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("fill_first", "aaaaaa"), ("round_robin", "abcabc"), ("least_used", "abcabc")],
)
def test_a_strategy_says_which_key_is_next(strategy: str, expected: str) -> None:
    """As Hermes' credential_pool_strategies names them."""
    assert "".join(taken(KeyPool(KEYS, strategy, Clock()), 6)) == expected


def test_random_takes_every_key_in_time() -> None:
    """Each request draws anew."""
    assert set(Counter(taken(KeyPool(KEYS, "random", Clock()), 200))) == {"a", "b", "c"}


@pytest.mark.parametrize(("status", "asked", "rest"), [(401, None, 300), (429, None, 3600), (402, None, 3600), (429, 7.0, 7)])
def test_a_refused_key_rests(status: int, asked: float | None, rest: float) -> None:
    """As long as its provider says, else as long as Hermes lets it; then it is first again."""
    clock = Clock()
    pool = KeyPool(KEYS, "fill_first", clock)
    pool.failed("a", status, asked)
    assert pool.take() == ["b", "c", "a"]
    clock.now += rest - 0.5
    assert pool.take()[0] == "b"
    clock.now += 1
    assert pool.take() == ["a", "b", "c"]


def test_keys_that_all_rest_are_tried_all_the_same() -> None:
    """The one that rests shortest first: the provider's refusal says more than silence would."""
    pool = KeyPool((PoolKey("a", 1500.0), PoolKey("b", 1200.0)), "round_robin", Clock())
    assert pool.take() == ["b", "a"]


def test_what_is_known_of_a_key_outlives_a_new_look_at_the_files() -> None:
    """Else every login that is renewed would wake the keys that rest."""
    former = KeyPool(KEYS, "fill_first", Clock())
    former.failed("a", 429, None)
    pool = KeyPool((*KEYS, PoolKey("d")), "fill_first", Clock())
    pool.inherit(former)
    assert pool.take() == ["b", "c", "d", "a"]
