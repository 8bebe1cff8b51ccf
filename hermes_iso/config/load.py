"""load_config: a home's files to one frozen Config, or every reason why not; reads only, changes nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hermes_iso.config.build import build_config
from hermes_iso.config.homes import HomeMap
from hermes_iso.config.hook_files import find_hook_files
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.root_keys import read_root_keys
from hermes_iso.config.routes import read_rules
from hermes_iso.config.schema import Config
from hermes_iso.config.yaml_text import parse_document, read_document
from hermes_iso.errors import ConfigError, Problem


def load_config(home: Path, environ: Mapping[str, str], *, text: str | None = None, without_broken: bool = False) -> Config:
    """Read a home. `environ` is where names that no `.env` defines are looked up; `text` counts in place of its config.yaml.

    without_broken: a profile whose own files are wrong is not served, and the others are; unless it is the default agent's.
    Raises ConfigError with every problem of every file at once, UsageError for a damaged record of `home chown`.
    """
    config, problems = _read(home, environ, text, {})
    broken = _broken(config, problems.problems) if without_broken else {}
    if broken:
        config, problems = _read(home, environ, text, broken)
    problems.raise_if_any()
    return config


def _broken(config: Config, problems: Sequence[Problem]) -> dict[str, str]:
    """Return the profiles whose own files have all the problems, each with its first; none where others have some."""
    homes = {agent.profile.home: agent.id for agent in config.agents.values() if agent.profile.home != config.home}
    found: dict[str, str] = {}
    for problem in sorted(problems):
        agent = homes.get(Path(problem.file).parent)
        if agent is None or agent == config.default_agent:
            return {}
        found.setdefault(agent, str(problem))
    return found


def _read(home: Path, environ: Mapping[str, str], text: str | None, broken: Mapping[str, str]) -> tuple[Config, ProblemList]:
    """Return what a home says and what is wrong with it; the config only counts when nothing is."""
    spelled = Path(os.path.abspath(home))
    if not spelled.is_dir():
        found = "is not a directory" if os.path.lexists(spelled) else "does not exist"
        message = f"{found}; make a home with: hermes-iso init --home {spelled}"
        raise ConfigError([Problem(str(spelled), 1, "home", message)])
    problems = ProblemList()
    file = spelled / "config.yaml"
    document = read_document(file, problems) if text is None else parse_document(text, str(file), problems=problems)
    ours, rules = read_root_keys(document, problems), read_rules(document, problems)
    homes = HomeMap(spelled, document, ours, rules, problems)
    config = build_config(homes, environ, broken)
    config = replace(config, hooks=find_hook_files(config.home, problems), warnings=tuple(problems.warnings))
    return config, problems
