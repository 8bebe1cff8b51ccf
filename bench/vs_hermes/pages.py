"""Writes what was found where people read it: the figures and a plot in docs/images, the tables into their page."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.vs_hermes.report import SEPARATE, SIDES, page, sentence
from bench.vs_hermes.sides import OURS, PEER, ROOT

FIGURES = ROOT / "docs" / "images" / "vs_hermes.json"
PICTURE = FIGURES.with_suffix(".png")
PAGE = ROOT / "docs" / "explanation" / "why-not-contextvars.md"
COLOURS = {PEER: "#9aa5b1", SEPARATE: "#cfd6dc", OURS: "#1f6f8b"}


def with_tables(text: str, result: Mapping[str, Any]) -> str:
    """Return the page with the tables between its two marks."""
    marks = r"(?<=<!-- vs_hermes -->\n).*?(?=<!-- /vs_hermes -->)"
    return re.sub(marks, lambda _: page(result) + "\n", text, count=1, flags=re.DOTALL)


def write(result: Mapping[str, Any]) -> None:
    """Write figures, plot and page."""
    FIGURES.parent.mkdir(exist_ok=True)
    FIGURES.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), result), encoding="utf-8")
    try:
        draw(result, PICTURE)
    except ImportError:
        print(
            "The plot was not drawn, since matplotlib is not installed: `make bench-hermes` does that first.", file=sys.stderr
        )


def draw(result: Mapping[str, Any], picture: Path) -> None:
    """Draw latency, throughput, memory and what attacks do, side by side. Raises ImportError without matplotlib."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(15, 10), layout="constrained")
    (speed, rate), (memory, attacks) = axes
    cells = result.get("latency", {})
    _bars(
        speed,
        "milliseconds until the answer, p50",
        {n: {s: c.get(s, {}).get("p50_ms") for s in SIDES} for n, c in cells.items()},
    )
    _bars(rate, "turns per second", {n: {s: c.get(s, {}).get("turns_per_s") for s in SIDES} for n, c in cells.items()})
    _lines(memory, result.get("memory", {}))
    attacked = {n: {s: r.get(s, {}).get("ratio") for s in SIDES} for n, r in result.get("attacks", {}).items()}
    _bars(attacks, "B's p50 while A attacks, to B's p50 otherwise", attacked)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(sentence(result["run"]).replace("`", ""), fontsize=8, wrap=True)
    figure.savefig(picture, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _lines(axis: Any, rows_by_side: Mapping[str, Mapping[str, Any]]) -> None:
    """Draw memory by number of agents, on logarithmic axes."""
    for name, rows in rows_by_side.items():
        points = sorted((row["agents"], row["used_mb"]) for row in rows.values() if "used_mb" in row)
        label = f"{PEER}, one gateway each" if name == SEPARATE else name
        if points:
            axis.plot(*zip(*points, strict=True), marker="o", color=COLOURS[name], label=label)
    axis.set_title("MB of all processes by number of agents", fontsize=10)
    if not axis.lines:
        axis.set_axis_off()
        return
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_formatter("{x:.0f}")
    axis.yaxis.set_minor_formatter("{x:.0f}")
    axis.yaxis.set_major_formatter("{x:.0f}")
    axis.legend(frameon=False, fontsize=8)


def _bars(axis: Any, title: str, rows: Mapping[str, Mapping[str, float | None]]) -> None:
    """Draw a pair of bars for each row, on a logarithmic axis; what was not measured has none."""
    axis.set_title(title, fontsize=10)
    if not any(row[side] for row in rows.values() for side in SIDES):
        axis.set_axis_off()
        return
    for number, side in enumerate(SIDES):
        places = [place + 0.4 * (number - 0.5) for place in range(len(rows))]
        bars = axis.bar(places, [row[side] or 0 for row in rows.values()], 0.38, color=COLOURS[side], label=side)
        axis.bar_label(bars, [_short(row[side]) for row in rows.values()], fontsize=7)
    axis.set_xticks(range(len(rows)), list(rows), rotation=30, ha="right", fontsize=8)
    axis.set_yscale("log")
    axis.legend(frameon=False, fontsize=8)


def _short(value: float | None) -> str:
    """Return a figure as a label."""
    return "" if not value else f"{value:.0f}" if value >= 20 else f"{value:.2g}"
