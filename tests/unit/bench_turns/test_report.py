"""The report: targets, the table, and how it was run."""

from __future__ import annotations

import os

import pytest

from hermes_iso.bench_turns.report import TARGETS, describe_run, missed_targets, rows, sentence

KINDS = ("warm_echo", "isolated_echo", "isolated_no_spare_echo", "warm_tool", "isolated_tool")
FIGURES = {
    **{f"{kind}_us": {"p50": 200.0, "p99": 900.0} for kind in KINDS},
    "isolated_echo_us": {"p50": 250.0, "p99": 3000.0},
    "ratio_echo": 1.25,
    "ratio_tool": 1.6,
    "activation_ms": 12.0,
    "mb_per_idle_agent": 4.5,
    "mb_by_idle_agents": {"1": 20.0, "10": 60.0},
    "turns_per_s": 400.0,
    "turns_per_s_by_sessions": {"1": 100.0, "16": 400.0},
    "dead_after_reply_ms": 0.3,
    "dead_after_reply_p99_ms": 0.9,
    "active_at_once": 100,
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"ratio_echo": 1.31}, "ratio_echo is 1.31, and the target is at most 1.3"),
        ({"isolated_echo_us": {"p50": 1.0, "p99": 3001.0}}, "isolated_echo_us.p99"),
        ({"ratio_tool": 1.7}, "ratio_tool"),
        ({"activation_ms": 20.1}, "activation_ms"),
        ({"mb_per_idle_agent": 4.6}, "mb_per_idle_agent"),
        ({"turns_per_s": 399.0}, "turns_per_s is 399, and the target is at least 400"),
    ],
)
def test_each_target_can_be_missed(change, named):
    """A figure that is just good enough is, and one beyond it is named with its target."""
    assert missed_targets(FIGURES) == []
    [said] = missed_targets(FIGURES | change)
    assert said.startswith(named)


def test_every_target_has_a_case():
    """None of the targets goes untested above."""
    assert len(TARGETS) == 6


def test_table_compares_each_turn_with_its_own_baseline():
    """An isolated turn stands beside how many times the warm one it took."""
    table = {row[0]: row for row in rows(FIGURES)}
    assert table["echo, isolated, a spare waits"][1:] == ("250 us", "3000 us", "1.25x")
    assert table["turns per second, sessions: 16"][1] == "400"
    assert len({len(row) for row in rows(FIGURES)}) == 1


def test_run_says_who_and_how_often():
    """Figures of another user or another n are not mistaken for these."""
    run = describe_run(17)
    assert run["n"] == 17
    assert run["user"] == ("root" if os.geteuid() == 0 else "ordinary user")
    assert "n=17" in sentence(run)
