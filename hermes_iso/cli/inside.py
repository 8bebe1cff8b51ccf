"""A gateway in this process: what has to hold before one is opened."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from pathlib import Path

from hermes_iso.cli.bounds import check_written, unbounded_here
from hermes_iso.cli.logs import configure_logs
from hermes_iso.cli.machine import machine_checks, trial_check
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.home_state import check_home
from hermes_iso_sandbox.capability import Capabilities, require


def prepare(config: Config, *, level: int) -> Mapping[str, str]:
    """Refuse where this machine can't isolate agents or keep a written limit, or can't use the home; log from `level` upwards.

    Returns what is not bounded: name to how far it is. Raises UnsupportedSandboxError, UsageError.
    """
    require(Capabilities(tuple(machine_checks(config.home, config.agents, config.host_uids))))
    check_written({agent.id: agent.profile.limits for agent in config.agents.values()})
    check_home(config.home, config.agents)
    configure_logs(level)
    return unbounded_here()


def require_sandbox() -> None:
    """Refuse where a whole sandbox can't be had, by trying one. Raises UnsupportedSandboxError."""
    require(Capabilities((trial_check(),)))


def prepared(home: Path, *, level: int) -> Config:
    """Return a home's config where a gateway can be opened on it. Raises ConfigError, UnsupportedSandboxError."""
    config = load_config(home, os.environ)
    prepare(config, level=level)
    return config


def raise_descriptor_limit() -> None:
    """Let this process open as many descriptors as it may: each sandbox takes a few, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
