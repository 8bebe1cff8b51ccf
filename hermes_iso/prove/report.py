"""What `prove` prints: the JSON document, the table, the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hermes_iso.prove.probe import Probe, Result

GOOD = frozenset({"passed", "found"})
BAD = frozenset({"failed", "blind"})
_RED, _GREEN, _YELLOW, _PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Return the document of `--json`: counts, and each probe. In a self-test passed means found, failed means blind."""
    probes = [{**_named(each.probe), "verdict": each.verdict, "evidence": each.evidence} for each in results]
    return {**counts(results), "probes": probes}


def counts(results: Sequence[Result]) -> dict[str, int]:
    """Return how many passed, failed and were skipped."""
    good, bad = (sum(each.verdict in kind for each in results) for kind in (GOOD, BAD))
    return {"passed": good, "failed": bad, "skipped": len(results) - good - bad}


def table(results: Sequence[Result], *, colours: bool) -> list[str]:
    """Return the lines of the table; what failed or was skipped is followed by its evidence."""
    lines = []
    for each in results:
        probe = each.probe
        lines.append(f"{probe.id:<5} {probe.category:<9} {_coloured(f'{each.verdict:<8}', each, colours)} {probe.tries}")
        if each.evidence and each.verdict not in GOOD:
            lines.append(f"{'':<15} {each.evidence}")
    return lines


def listing(probes: Sequence[Probe]) -> list[str]:
    """Return the lines of `--list`."""
    return [f"{probe.id:<5} {probe.category:<9} {probe.tries}" for probe in probes]


def summary(results: Sequence[Result], *, self_test: bool) -> str:
    """Return the last line."""
    count = counts(results)
    good, bad = ("found their hole", "are blind") if self_test else ("held", "got through")
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    return f"{len(results)} probes: {count['passed']} {good}, {count['failed']} {bad}{skipped}"


def listing_json(probes: Sequence[Probe]) -> dict[str, list[dict[str, str]]]:
    """Return what `--list --json` prints."""
    return {"probes": [_named(probe) for probe in probes]}


def _named(probe: Probe) -> dict[str, str]:
    """Return what names a probe."""
    return {"id": probe.id, "category": probe.category, "tries": probe.tries}


def _coloured(text: str, result: Result, colours: bool) -> str:
    """Return a verdict in its colour."""
    if not colours:
        return text
    colour = _GREEN if result.verdict in GOOD else _RED if result.verdict in BAD else _YELLOW
    return f"{colour}{text}{_PLAIN}"
