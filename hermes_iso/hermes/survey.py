"""Everything that `adopt --check` tells of a home: what would be used, what differs, and what to write for the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_iso.config.source import Names
from hermes_iso.hermes.candidates import Candidate
from hermes_iso.hermes.survey_chats import JobUse, job_of, platforms_of, read_jobs
from hermes_iso.hermes.survey_hosts import HostUse, hosts_of
from hermes_iso.hermes.survey_models import ModelUse, models_of
from hermes_iso.hermes.survey_paths import PathUse, path_survey
from hermes_iso.hermes.view import HomeView
from hermes_iso.profiles import is_within


@dataclass(frozen=True, slots=True)
class AgentSurvey:
    """What one agent's home says. toolsets: by platform. disabled: toolsets that it never uses. platforms: name to served."""

    candidate: Candidate
    models: tuple[ModelUse, ...]
    toolsets: Mapping[str, Any]
    disabled: tuple[str, ...]
    platforms: Mapping[str, bool]
    jobs: tuple[JobUse, ...]
    hosts: tuple[HostUse, ...]
    paths: tuple[PathUse, ...]

    @property
    def readable(self) -> tuple[str, ...]:
        """The directories that `sandbox.readable` would bring, without those that lie in another of them."""
        every = dict.fromkeys(use.readable for use in self.paths if use.readable)
        return tuple(each for each in every if not any(is_within(each, other) for other in every if other != each))

    @property
    def path(self) -> tuple[str, ...]:
        """The directories that `sandbox.path` needs besides."""
        return tuple(dict.fromkeys(use.path for use in self.paths if use.path and use.readable))


def survey(view: HomeView, candidate: Candidate, environ: Mapping[str, str]) -> AgentSurvey:
    """Look at one agent's home. Reads only, and nothing that is broken stops it."""
    source, root = view.sources(candidate.agent)
    data = source.document.data
    names = Names((source.env.values, root.env.values, environ))
    jobs = read_jobs(candidate.home)
    paths = path_survey(view, source, environ).all(data, jobs)
    cwd = os.path.realpath(os.path.expanduser(source.keys.terminal.cwd or "")) if source.keys.terminal.cwd else ""
    workspaces = [candidate.home / "workspace", *([Path(cwd)] if os.path.isabs(source.keys.terminal.cwd or "") else [])]
    agent = data.get("agent")
    disabled = agent.get("disabled_toolsets") if isinstance(agent, dict) else None
    toolsets = data.get("platform_toolsets")
    return AgentSurvey(
        candidate,
        tuple(models_of(source, root, environ)),
        toolsets if isinstance(toolsets, dict) else {},
        tuple(map(str, disabled)) if isinstance(disabled, list) else (),
        platforms_of(data, source.env.values, root=source is root),
        tuple(job_of(each) for each in jobs),
        tuple(hosts_of(data, names, workspaces)),
        tuple(paths),
    )
