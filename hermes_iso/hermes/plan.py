"""What `adopt` would do to a home, found out without changing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.config_file import read_config_file
from hermes_iso.errors import Problem, UsageError
from hermes_iso.hermes.broken import problems_of, without_broken
from hermes_iso.hermes.candidates import Candidate, find_candidates
from hermes_iso.hermes.config_lines import Lines, lines_for
from hermes_iso.hermes.manifest import Manifest, read_manifest
from hermes_iso.hermes.view import HomeView


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done.

    candidates: every agent of the home, main first. problems: mistakes in the root's config, which refuse it all. lines: what
    would be set in config.yaml; None where there are such problems.
    """

    home: Path
    view: HomeView
    manifest: Manifest | None
    candidates: tuple[Candidate, ...]
    problems: tuple[Problem, ...]
    lines: Lines | None

    @property
    def wanted(self) -> tuple[Candidate, ...]:
        """The agents that are or become Hermes': those adopted before are looked after again."""
        return tuple(each for each in self.candidates if each.decision in ("adopt", "adopted"))

    @property
    def new(self) -> tuple[Candidate, ...]:
        """The agents that are still to be adopted."""
        return tuple(each for each in self.candidates if each.decision == "adopt")


def make_plan(home: Path, environ: Mapping[str, str]) -> Plan:
    """Return what adopting a home would do.

    Raises UsageError when there is no such home, or its manifest or config.yaml can't be read.
    """
    if not home.is_dir():
        raise UsageError(f"{home} is no directory: name a Hermes home with --home.")
    view = HomeView.of(home)
    manifest = read_manifest(home)
    candidates = find_candidates(view, (manifest or Manifest()).agents)
    wrong = list(view.problems.problems)
    if not wrong:
        everybody = [each.agent for each in candidates if each.decision != "native"]
        text = lines_for(read_config_file(home), everybody).text
        candidates, wrong = without_broken(view, candidates, problems_of(home, environ, text))
    taken = [each.agent for each in candidates if each.decision in ("adopt", "adopted")]
    lines = None if wrong else lines_for(read_config_file(home), taken)
    return Plan(home, view, manifest, tuple(candidates), tuple(wrong), lines)
