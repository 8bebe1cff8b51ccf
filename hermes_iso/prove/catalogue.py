"""All probes, and the choice among them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from hermes_iso.errors import UsageError
from hermes_iso.prove.probe import Probe
from hermes_iso.prove.probes import load_all


def choose(words: Sequence[str]) -> tuple[Probe, ...]:
    """Return the probes that ids and names of categories stand for, in the catalogue's order; all for no word.

    Raises UsageError for a word that is neither.
    """
    every = load_all()
    wanted = {word.strip().casefold() for word in words if word.strip()}
    known = {name.casefold() for probe in every for name in (probe.id, probe.category)}
    for word in sorted(wanted - known):
        near = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.5)
        told = f"did you mean {_spelled(near[0])}?" if near else "`prove --list` shows them."
        raise UsageError(f"There is no probe or category {word!r}: {told}")
    return tuple(each for each in every if not wanted or {each.id.casefold(), each.category} & wanted)


def _spelled(name: str) -> str:
    """Return an id in capitals, a category as it is."""
    return name.upper() if re.fullmatch(r"[a-z]\d+", name) else name
