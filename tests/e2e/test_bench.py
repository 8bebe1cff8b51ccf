"""`hermes-iso bench turns` as a process, on real sandboxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hermes_iso.bench_turns.run import Scale, benchmark
from tests.support.gateways import hermes_iso

pytestmark = pytest.mark.long

FIXED = {"warm_echo_us", "isolated_echo_us", "ratio_echo", "ratio_tool", "activation_ms", "mb_per_idle_agent",
         "turns_per_s", "dead_after_reply_ms"}  # fmt: skip


def test_benchmark_measures_every_figure(tmp_path: Path) -> None:
    """A small run has every promised key with a figure in it, and leaves no process."""
    scale = Scale(rounds=2, fresh=1, idle=(1, 2, 3), sessions=(1, 16), agents=2, load_seconds=0.2)
    figures = benchmark(tmp_path, scale, lambda sentence: None)
    assert figures.keys() >= FIXED
    assert min(figures[f"{kind}_us"]["p50"] for kind in ("warm_echo", "isolated_echo", "warm_tool", "isolated_tool")) > 0
    assert figures["turns_per_s"] == figures["turns_per_s_by_sessions"]["16"] > 0
    assert figures["mb_by_idle_agents"]["1"] < figures["mb_by_idle_agents"]["3"]


@pytest.mark.timeout(300)
def test_bench_turns_prints_one_document_and_its_check_can_fail() -> None:
    """Stdout is JSON alone; targets decide the exit code with --check only, and each missed one is named."""
    ran = hermes_iso("bench", "turns", "--n", "1", "--json", "--check", timeout=280)
    figures = json.loads(ran.stdout)
    assert figures.keys() >= FIXED
    assert figures["run"]["n"] == 1
    assert ran.returncode == ("target missed" in ran.stderr), ran.stderr
