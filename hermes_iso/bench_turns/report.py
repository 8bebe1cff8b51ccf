"""What `bench turns` prints: how it was run, a table of the figures, and which targets were missed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

TARGETS: Mapping[str, tuple[str, float]] = {
    "ratio_echo": ("at most", 1.3),
    "isolated_echo_us.p99": ("at most", 3000.0),
    "ratio_tool": ("at most", 1.6),
    "activation_ms": ("at most", 20.0),
    "mb_per_idle_agent": ("at most", 4.5),
    "turns_per_s": ("at least", 400.0),
}
"""What `--check` compares the figures with."""
_TURNS = (
    ("warm_echo_us", "echo, warm process without isolation"),
    ("isolated_echo_us", "echo, isolated, a spare waits"),
    ("isolated_no_spare_echo_us", "echo, isolated, forked on demand"),
    ("warm_tool_us", "one terminal call, warm process without isolation"),
    ("isolated_tool_us", "one terminal call, isolated, a spare waits"),
)


def describe_run(rounds: int) -> dict[str, Any]:
    """Return how the figures came about: another machine, or a busy one, has others."""
    return {
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "user": "root" if os.geteuid() == 0 else "ordinary user",
        "n": rounds,
        "load_average": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def missed_targets(figures: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each target that the figures miss."""
    missed = []
    for name, (kind, target) in TARGETS.items():
        key, _, part = name.partition(".")
        found = figures[key][part] if part else figures[key]
        if (found > target) if kind == "at most" else (found < target):
            missed.append(f"{name} is {found:g}, and the target is {kind} {target:g}")
    return missed


def rows(figures: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the figures as a table: what, the median, the 99th percentile, how many times the warm process."""
    table: list[tuple[str, ...]] = [("TURN UNTIL ITS ANSWER", "P50", "P99", "")]
    for key, what in _TURNS:
        warm = figures["warm_tool_us" if "tool" in key else "warm_echo_us"]["p50"]
        table.append((what, *(f"{figures[key][part]:.0f} us" for part in ("p50", "p99")), f"{figures[key]['p50'] / warm:.2f}x"))
    dead = (f"{figures[key]:.2f} ms" for key in ("dead_after_reply_ms", "dead_after_reply_p99_ms"))
    table.append(("from the answer until all of it is dead", *dead, ""))
    table.append(("first turn of a fresh agent", f"{figures['activation_ms']:.1f} ms", "", ""))
    for sessions, rate in figures["turns_per_s_by_sessions"].items():
        table.append((f"turns per second, sessions: {sessions}", f"{rate:.0f}", "", ""))
    for agents, size in figures["mb_by_idle_agents"].items():
        table.append((f"memory of all below the pool, idle agents: {agents}", f"{size:.1f} MB", "", ""))
    table.append(("memory of each further idle agent", f"{figures['mb_per_idle_agent']:.2f} MB", "", ""))
    table.append(("agents active at once without a failed turn", str(figures["active_at_once"]), "", ""))
    return table


def sentence(run: Mapping[str, Any]) -> str:
    """Return how it was run, in one line."""
    return (
        f"Python {run['python']}, Linux {run['kernel']} on {run['machine']}, {run['cores']} cores, as {run['user']}, "
        f"n={run['n']}, load average {run['load_average']} at the start, {run['date']}."
    )
