"""Draw docs/images/turns.png from the figures of `hermes-iso bench turns --json`, and write them into README.md.

    python bench/plot_turns.py docs/images/turns.json

`make bench` measures and then runs this. The JSON stays beside the picture, and a test compares the README with it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from hermes_iso.bench_turns.report import rows, sentence

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "turns.png"
WARM, ISOLATED, FORKED = "#9aa5b1", "#1f6f8b", "#7fb3c8"
TURNS = (
    ("warm_echo_us", "echo\nwarm, no isolation", WARM),
    ("isolated_echo_us", "echo\nisolated", ISOLATED),
    ("isolated_no_spare_echo_us", "echo, isolated\nno spare", FORKED),
    ("warm_tool_us", "terminal call\nwarm, no isolation", WARM),
    ("isolated_tool_us", "terminal call\nisolated", ISOLATED),
)


def draw(figures: dict) -> None:
    """Draw latency, turns per second and memory side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, (latency, load, memory) = plt.subplots(1, 3, figsize=(14, 4.2), width_ratios=(2.2, 1, 1), layout="constrained")
    for place, (key, _, colour) in enumerate(TURNS):
        p50, p99 = (figures[key][part] / 1000 for part in ("p50", "p99"))
        latency.bar(place, p50, color=colour)
        latency.plot(place, p99, marker="_", markersize=28, color="#444444")
        latency.annotate(f"{p50:.2f}", (place, p50), ha="center", va="bottom")
    latency.set_xticks(range(len(TURNS)), [name for _, name, _ in TURNS], fontsize=8)
    latency.set_title("milliseconds until the answer: p50 (bar), p99 (line)", fontsize=10)
    for axis, key, title in (
        (load, "turns_per_s_by_sessions", "turns per second by sessions, 8 agents"),
        (memory, "mb_by_idle_agents", "MB below the pool by idle agents"),
    ):
        bars = axis.bar([*figures[key]], [*figures[key].values()], color=ISOLATED)
        axis.bar_label(bars, fmt="%.0f")
        axis.set_title(title, fontsize=10)
    for axis in (latency, load, memory):
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(sentence(figures["run"]), fontsize=8)
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def table(figures: dict) -> str:
    """Return the figures as a table in Markdown, with how they were measured."""
    head, *body = rows(figures)
    lines = ["| " + " | ".join(part.lower() for part in head) + " |", "| --- | --- | --- | --- |"]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join([*lines, "", sentence(figures["run"])])


def with_table(readme: str, figures: dict) -> str:
    """Return README.md with the table between its two marks."""
    return re.sub(r"(?<=<!-- turns -->\n).*?(?=\n<!-- /turns -->)", lambda _: table(figures), readme, count=1, flags=re.DOTALL)


def main() -> None:
    """Draw and write."""
    figures = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    PICTURE.parent.mkdir(exist_ok=True)
    draw(figures)
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")


if __name__ == "__main__":
    main()
