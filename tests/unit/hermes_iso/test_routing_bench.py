"""bench/routing.py runs, and finds what it looks for."""

import random
import runpy
from pathlib import Path

import pytest

BENCH = runpy.run_path(str(Path(__file__).parents[3] / "bench/routing.py"))


def test_benchmark_prints_a_row_and_returns_its_median(capsys: pytest.CaptureFixture[str]) -> None:
    """What it measures is a time, and the row says for how many rules."""
    assert BENCH["measure"](100, 50) > 0
    assert "100 rules   p50" in capsys.readouterr().out


def test_benchmarks_messages_are_taken_by_rules() -> None:
    """Most look-ups end at a rule: a router that finds nothing would be fast as well."""
    dice = random.Random(1)
    rules = BENCH["make_rules"](400, dice)
    router = BENCH["Router"](BENCH["Config"](home=None, agents={}, bindings=tuple(rules)))
    messages = [BENCH["message_for"](rule, dice) for rule in rules]
    times, taken = BENCH["look_up"](router, messages)
    assert (len(times), 300 < taken < 400) == (400, True)
