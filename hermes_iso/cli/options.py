"""What several commands share: their options, the home they work on, and how results are printed."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hermes_iso.agents import Agent
from hermes_iso.config.load import load_config
from hermes_iso.config.problems import suggestion
from hermes_iso.config.schema import Config
from hermes_iso.errors import UsageError
from hermes_iso.hooks.hook import Hook
from hermes_iso.hooks.installed import find_installed

HomeOption = Annotated[
    str | None,
    Parameter(name="--home", help="The Hermes home (default: $HERMES_ISO_HOME, $HERMES_HOME, ~/.hermes)."),
]
JsonOption = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON document.")]


def find_home(option: str | None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the absolute path of the home: --home, else $HERMES_ISO_HOME, else $HERMES_HOME, else ~/.hermes.

    Raises UsageError when --home is empty; an empty variable counts as not set.
    """
    environ = os.environ if environ is None else environ
    if option is not None and not option:
        raise UsageError("--home needs a directory, and what was given is empty.")
    chosen = option or environ.get("HERMES_ISO_HOME") or environ.get("HERMES_HOME") or "~/.hermes"
    return Path(os.path.abspath(os.path.expanduser(chosen)))


def read_config(option: str | None, *, without_broken: bool = True) -> Config:
    """Load the config of the home that `--home` and the environment name. Raises ConfigError, UsageError.

    without_broken: see `load_config`.

    Nothing of a config is garbage while it is read, and looking for some takes most of the time that a large one takes.
    """
    gc.disable()
    try:
        return load_config(find_home(option), os.environ, without_broken=without_broken)
    finally:
        gc.enable()


def find_agent(config: Config, name: str) -> Agent:
    """Return a served agent. Raises UsageError that says why there is none of this name."""
    agent = config.agents.get(name)
    if agent is not None:
        return agent
    if name in config.not_served:
        raise UsageError(f"Agent {name} is not served: {config.not_served[name]}")
    near = suggestion(name, config.agents) or "."
    raise UsageError(f"There is no agent {name!r} in {config.home}{near} There are: {', '.join(config.agents) or 'none'}.")


def warnings_of(config: Config) -> list[str]:
    """Return what works otherwise than the config's author may think, one sentence each."""
    return [
        *config.warnings,
        *(f"agent {agent} is not served: {reason}" for agent, reason in config.not_served.items()),
        *(f"platform {name} is not served: this version has no adapter for it" for name in config.unserved_platforms),
    ]


def hooks_of(config: Config) -> tuple[Hook, ...]:
    """Return the hooks that a gateway would call, in order: those of installed packages, then the home's."""
    return (*find_installed(), *config.hooks)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_line(value: Any) -> None:
    """Print a JSON document as one line on stdout, one of many."""
    print(json.dumps(value, ensure_ascii=False))


def say(sentence: str) -> None:
    """Print a message for a person on stderr, where it does not mix with a result."""
    print(sentence, file=sys.stderr)


def confirm(yes: bool) -> None:
    """Ask on a terminal. Raises UsageError when the answer is not yes, or nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("Nothing was changed: nobody can be asked here, so say --yes.")
    print("Go on? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError("Nothing was changed.")


def print_table(rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns as wide as their widest cell; the last column is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        print("  ".join([*cells, row[-1]]).rstrip())
