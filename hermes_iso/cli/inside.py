"""A gateway in this process: what has to hold before one is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hermes_iso.cli.logs import configure_logs
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso_sandbox.capability import probe, require
from hermes_iso_sandbox.cgroups import find
from hermes_iso_sandbox.enforcement import check_required, not_bounded


def prepare(config: Config, *, level: int) -> Mapping[str, str]:
    """Refuse where this machine can't isolate agents or keep a limit that the config writes out; log from `level` upwards.

    Returns what is not bounded: name to how far it is. Raises UnsupportedSandboxError.
    """
    require(probe(config.home))
    found = find()
    for agent in config.agents.values():
        check_required(agent.profile.limits, found, agent=agent.id)
    configure_logs(level)
    return not_bounded(found)


def prepared(home: Path, *, level: int) -> Config:
    """Return a home's config where a gateway can be opened on it. Raises ConfigError, UnsupportedSandboxError."""
    config = load_config(home, os.environ)
    prepare(config, level=level)
    return config
