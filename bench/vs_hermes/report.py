"""What the comparison says in words and tables: how it was run, what leaked, the figures, the targets."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.vs_hermes.memory import slope
from bench.vs_hermes.probes.kit import LEAK, NOT_RUN
from bench.vs_hermes.sides import OURS, PEER

SIDES = (PEER, OURS)
SEPARATE = "separate"


def describe_run(hermes: Path, engine: str, scale: str, command: str) -> dict[str, Any]:
    """Return how the figures came about; nothing of it names the machine."""
    asked = "import importlib.metadata as m, platform; print(m.version('hermes-agent'), platform.python_version())"
    agent, python = subprocess.run([str(hermes), "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    return {
        "command": command,
        "scale": scale,
        "hermes_agent": agent,
        "hermes_python": python,
        "hermes_iso": version("hermes-iso"),
        "engine": engine,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "user": "root" if os.geteuid() == 0 else "ordinary user",
        "load_average": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def sentence(run: Mapping[str, Any]) -> str:
    """Return how it was run, in one line."""
    return (
        f"Measured with `{run['command']}` on {run['date']}: "
        f"hermes-agent {run['hermes_agent']} (Python {run['hermes_python']}), "
        f"hermes-iso {run['hermes_iso']} with engine `{run['engine']}` (Python {run['python']}), Linux {run['kernel']} on "
        f"{run['machine']}, {run['cores']} cores, as {run['user']}, load average {run['load_average']} at the start."
    )


def cell_name(delay: float, kind: str, clients: int) -> str:
    """Return the key of a cell of the latency table."""
    return f"{kind}, {delay * 1e3:.0f} ms, {clients}"


def leaks_of(result: Mapping[str, Any], side: str) -> list[str]:
    """Return the names of the probes that leaked on a side."""
    return [name for name, row in result.get("leaks", {}).items() if row.get(side, {}).get("verdict") == LEAK]


def _ratio(result: Mapping[str, Any], cell: str, key: str) -> float | None:
    found = result.get("latency", {}).get(cell, {})
    ours, peer = (found.get(side, {}).get(key) for side in (OURS, PEER))
    return round(ours / peer, 2) if ours and peer else None


def _worst(result: Mapping[str, Any]) -> float | None:
    ratios = [row[OURS]["ratio"] for row in result.get("attacks", {}).values() if "ratio" in row.get(OURS, {})]
    return max(ratios) if ratios else None


def _first_turn(result: Mapping[str, Any]) -> float | None:
    rows = result.get("memory", {}).get(OURS, {}).values()
    return max((row["first_turn_s"] for row in rows if row.get("first_turn_s")), default=None)


def targets(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each target with what was found; `met` is None where it was not measured."""
    root = result["run"]["user"] == "root"
    memory = result.get("memory", {}).get(OURS, {})
    leaks = len(leaks_of(result, OURS)) if result.get("leaks") else None
    rows: list[tuple[str, str, float, float | None]] = [
        ("probes that leak on hermes-iso", "at most", 0, leaks),
        (
            "turn without a tool, 1 client: p50 to the peer's",
            "at most",
            0.6,
            _ratio(result, cell_name(0, "no tool", 1), "p50_ms"),
        ),
        (
            "turns without a tool, 16 clients: turns/s to the peer's",
            "at least",
            3.0,
            _ratio(result, cell_name(0, "no tool", 16), "turns_per_s"),
        ),
        (
            "turn with one tool, 1 client: p50 to the peer's",
            "at most",
            0.7,
            _ratio(result, cell_name(0, "one tool", 1), "p50_ms"),
        ),
        ("first turn after the start, seconds", "at most", 3.0, _first_turn(result)),
        ("MB of each further idle agent", "at most", 5.5, slope(memory)),
        ("agents served of 100", "at least", 100, memory.get("100", {}).get("answered")),
        ("B's p50 while A attacks, to its p50 otherwise (worst)", "at most", 1.5 if root else 3.0, _worst(result)),
    ]
    return [
        {
            "name": name,
            "target": f"{kind} {target:g}",
            "found": found,
            "met": None if found is None else (found <= target if kind == "at most" else found >= target),
        }
        for name, kind, target, found in rows
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def _code(text: str) -> str:
    """Return evidence as code in a table's cell."""
    return f"`{text.replace('`', chr(39))}`" if text else ""


def leak_table(result: Mapping[str, Any]) -> str:
    """Return the leak table, in Markdown, with a sentence that counts."""
    leaks = result["leaks"]
    counts = []
    for side in SIDES:
        verdicts = [row[side]["verdict"] for row in leaks.values()]
        counts.append(f"{side}: {verdicts.count(LEAK)} of {len(verdicts)} leak, {verdicts.count(NOT_RUN)} not run")
    rows = []
    for name, row in leaks.items():
        sides = [f"{row[side]['verdict']}: {_code(row[side]['evidence'])}".rstrip(": ") for side in SIDES]
        rows.append([f"`{name}`: {row['what']}", *sides])
    return "; ".join(counts) + ".\n\n" + _table(["probe", *SIDES], rows)


def latency_table(result: Mapping[str, Any]) -> str:
    """Return latency, throughput and processor time, in Markdown."""
    rows = []
    for name, cell in result["latency"].items():
        kind, delay, clients = name.split(", ")
        figures = []
        for side in SIDES:
            found = cell.get(side, {})
            if "p50_ms" not in found:
                figures += ["not measured", "", ""]
                continue
            figures += [
                f"{found['p50_ms']:.0f} / {found['p95_ms']:.0f}",
                found["turns_per_s"],
                f"{found['cpu_ms_per_turn']:.0f}",
            ]
        rows.append([kind, delay, clients, *figures, *(_ratio(result, name, key) or "" for key in ("p50_ms", "turns_per_s"))])
    head = ["turn", "model takes", "clients"]
    head += [f"{side}: {what}" for side in SIDES for what in ("p50 / p95 ms", "turns/s", "CPU ms/turn")]
    return _table([*head, "p50 ratio", "turns/s ratio"], rows)


def memory_table(result: Mapping[str, Any]) -> str:
    """Return memory by number of agents, in Markdown."""
    memory = result["memory"]
    counts = sorted({int(count) for rows in memory.values() for count in rows})
    rows = []
    for count in counts:
        cells = []
        for name in (PEER, SEPARATE, OURS):
            found = memory.get(name, {}).get(str(count), {})
            cells.append(f"{found['used_mb']:.0f}" if "used_mb" in found else found.get("not_run", ""))
        starts = [memory.get(side, {}).get(str(count), {}) for side in SIDES]
        cells += [f"{each['ready_s']:.1f} + {each['first_turn_s']:.1f}" if "ready_s" in each else "" for each in starts]
        rows.append([count, *cells])
    head = ["agents", f"{PEER}, one gateway: MB", f"{PEER}, one gateway each: MB", f"{OURS}: MB"]
    return _table([*head, *(f"{side}: start + first turn, s" for side in SIDES)], rows)


def attack_table(result: Mapping[str, Any]) -> str:
    """Return what attacks do to others, in Markdown."""
    rows = []
    for name, row in result["attacks"].items():
        cells = []
        for side in SIDES:
            found = row.get(side, {})
            if "ratio" in found:
                cells.append(f"{found['quiet_p50_ms']:.0f} -> {found['attacked_p50_ms']:.0f} ({found['ratio']:.2f}x)")
            else:
                cells.append(f"not run: {found.get('not_run', '')}".rstrip(": "))
        rows.append([name, *cells])
    return _table(["A", *(f"{side}: B's p50, ms" for side in SIDES)], rows)


def target_table(result: Mapping[str, Any]) -> str:
    """Return the targets, in Markdown."""
    words = {True: "met", False: "missed", None: "not measured"}
    rows = [
        [each["name"], each["target"], "" if each["found"] is None else each["found"], words[each["met"]]]
        for each in targets(result)
    ]
    return _table(["target", "", "found", ""], rows)


def page(result: Mapping[str, Any]) -> str:
    """Return everything as Markdown."""
    return "\n\n".join(_parts(result))


def _parts(result: Mapping[str, Any]) -> Iterator[str]:
    yield sentence(result["run"])
    for key, title, table in (
        ("leaks", "What leaks", leak_table),
        ("latency", "Latency, throughput, processor time", latency_table),
        ("memory", "Memory (PSS of all processes, after each agent's first turn)", memory_table),
        ("attacks", "B's turns while A attacks", attack_table),
    ):
        if result.get(key):
            yield f"### {title}"
            yield table(result)
    yield "### Targets"
    yield target_table(result)
