"""Whose mistake each problem of a home is: a profile's own files keep that agent alone from being adopted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hermes_iso.config.load import load_config
from hermes_iso.config.schema import MAIN
from hermes_iso.errors import ConfigError, Problem
from hermes_iso.hermes.candidates import Candidate
from hermes_iso.hermes.survey_models import uncarried
from hermes_iso.hermes.view import HomeView
from hermes_iso.profiles import is_within


def without_broken(
    view: HomeView, candidates: Sequence[Candidate], problems: Sequence[Problem]
) -> tuple[list[Candidate], list[Problem]]:
    """Return the candidates with those refused whose own files are wrong, and the problems that are everybody's."""
    own: dict[str, list[str]] = {}
    for each in candidates:
        if refused := uncarried(view.sources(each.agent)[0]):
            own.setdefault(each.agent, []).append(f"{each.home / 'config.yaml'}: {refused}.")
    for problem in problems:
        if (owner := _owner(problem.file, candidates)) != MAIN:
            own.setdefault(owner, []).append(str(problem))
    kept = [
        replace(each, decision="refused", reasons=(*each.reasons, *own[each.agent]))
        if each.agent in own and each.decision in ("adopt", "refused")
        else each
        for each in candidates
    ]
    return kept, [problem for problem in problems if _owner(problem.file, candidates) == MAIN]


def _owner(file: str, candidates: Sequence[Candidate]) -> str:
    """Return the agent in whose home a file lies; the deepest home counts."""
    inside = [each for each in candidates if is_within(os.path.realpath(file), str(each.home))]
    return max(inside, key=lambda each: len(str(each.home))).agent if inside else MAIN


def problems_of(home: Path, environ: Mapping[str, str], text: str | None) -> list[Problem]:
    """Return every problem of a home, with this text in place of its config.yaml."""
    try:
        load_config(home, environ, text=text)
    except ConfigError as error:
        return error.problems
    return []
