"""What the comparison with Hermes says of its figures."""

from __future__ import annotations

from typing import Any

import pytest

from bench.vs_hermes.pages import with_tables
from bench.vs_hermes.report import leak_table, leaks_of, page, targets

RUN = {
    "command": "python bench/vs_hermes.py",
    "scale": "full",
    "hermes_agent": "0.19.0",
    "hermes_python": "3.11.7",
    "hermes_iso": "0.1.0",
    "engine": "hermes",
    "python": "3.11.7",
    "kernel": "6.1",
    "machine": "x86_64",
    "cores": 2,
    "user": "root",
    "load_average": 0.5,
    "date": "2026-01-01",
}


def figures(p50: float, rate: float) -> dict[str, float]:
    """Return one side's figures of a cell."""
    return {"n": 8, "failed": 0, "p50_ms": p50, "p95_ms": p50 * 2, "turns_per_s": rate, "cpu_ms_per_turn": p50}


def verdict(word: str, evidence: str = "") -> dict[str, str]:
    """Return one side's finding of a probe."""
    return {"verdict": word, "evidence": evidence}


def result() -> dict[str, Any]:
    """Return what a run may have found."""
    both = {"hermes": figures(100, 5), "hermes-iso": figures(50, 20)}
    memory = {
        str(n): {"agents": n, "used_mb": 100 + 5 * n, "ready_s": 1, "first_turn_s": 2, "answered": n} for n in (1, 2, 100)
    }
    attack = {"quiet_p50_ms": 50, "attacked_p50_ms": 70, "attacked_max_ms": 90, "ratio": 1.4, "n": 9}
    return {
        "run": RUN,
        "leaks": {"env": {"what": "a | b", "hermes": verdict("LEAK", "x | `y`"), "hermes-iso": verdict("held", "nothing")}},
        "latency": dict.fromkeys(("no tool, 0 ms, 1", "no tool, 0 ms, 16", "one tool, 0 ms, 1"), both),
        "memory": {"hermes-iso": memory, "separate": {"8": {"not_run": "does not fit the memory"}}},
        "attacks": {"computes": {"hermes": {"not_run": "why"}, "hermes-iso": attack}},
    }


def met(found: dict[str, Any]) -> list[bool | None]:
    """Return which targets are met."""
    return [each["met"] for each in targets(found)]


def test_targets_are_read_off_the_figures():
    """Each target has a figure of its own, and is met where the figure says so."""
    assert [each["found"] for each in targets(result())] == [0, 0.5, 4.0, 0.5, 2, 5.0, 100, 1.4]
    assert met(result()) == [True] * 8


@pytest.mark.parametrize(
    ("place", "value", "missed"),
    [
        (("leaks", "env", "hermes-iso", "verdict"), "LEAK", 0),
        (("latency", "no tool, 0 ms, 16", "hermes-iso", "turns_per_s"), 14.0, 2),
        (("memory", "hermes-iso", "1", "first_turn_s"), 3.5, 4),
        (("memory", "hermes-iso", "100", "answered"), 99, 6),
        (("attacks", "computes", "hermes-iso", "ratio"), 1.6, 7),
    ],
)
def test_target_can_be_missed(place, value, missed):
    """A figure on the wrong side of its target is a miss."""
    found = result()
    row: dict[str, Any] = found
    for key in place[:-1]:
        row[key] = dict(row[key])
        row = row[key]
    row[place[-1]] = value
    assert met(found)[missed] is False


def test_what_was_not_measured_is_not_met():
    """Without figures no target is met or missed, and the page has no table of them."""
    assert met({"run": RUN}) == [None] * 8
    assert "What leaks" not in page({"run": RUN})


def test_attacks_count_by_who_runs_the_gateway():
    """An ordinary user's gateway without cgroups has the wider target."""
    found = {**result(), "run": {**RUN, "user": "ordinary user"}}
    found["attacks"] = {"computes": {"hermes-iso": {"ratio": 2.5}}}
    assert met(found)[7] is True


def test_leaks_are_counted_by_side():
    """A leak counts for the side on which it was seen, and evidence can't break the table."""
    assert (leaks_of(result(), "hermes"), leaks_of(result(), "hermes-iso")) == (["env"], [])
    row = leak_table(result()).splitlines()[-1]
    assert row == r"| `env`: a \| b | LEAK: `x \| 'y'` | held: `nothing` |"


def test_page_keeps_what_stands_around_the_tables():
    """Only what is between the marks is written anew."""
    text = "before\n<!-- vs_hermes -->\nold\n<!-- /vs_hermes -->\nafter\n"
    written = with_tables(text, result())
    assert written.startswith("before\n<!-- vs_hermes -->\nMeasured with")
    assert written.endswith("\n<!-- /vs_hermes -->\nafter\n")
    assert "old" not in written
    assert with_tables(written, result()) == written
