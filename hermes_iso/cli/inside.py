"""A gateway in this process: what has to hold before one is opened."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from dataclasses import replace
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
    _check_kept(config)
    configure_logs(level)
    return unbounded_here()


def _check_kept(config: Config) -> None:
    """Refuse where a written limit can't be kept, or the home can't be used. Raises UnsupportedSandboxError, UsageError."""
    check_written({agent.id: agent.profile.limits for agent in config.agents.values()})
    check_home(config.home, config.agents)


def load_again(home: Path, environ: Mapping[str, str], port: int | None) -> Config:
    """Read a home anew for a gateway that runs on it, `port` in place of the config's; the machine is as it was.

    Raises ConfigError, UsageError, UnsupportedSandboxError.
    """
    config = load_config(home, environ)
    _check_kept(config)
    return config if port is None or config.api is None else replace(config, api=replace(config.api, port=port))


def require_sandbox() -> None:
    """Refuse where a whole sandbox can't be had, by trying one. Raises UnsupportedSandboxError."""
    require(Capabilities((trial_check(),)))


def prepared(home: Path, *, level: int) -> Config:
    """Return a home's config where a gateway can be opened on it. Raises ConfigError, UnsupportedSandboxError."""
    config = load_config(home, os.environ, without_broken=True)
    prepare(config, level=level)
    return config


def raise_descriptor_limit() -> None:
    """Let this process open as many descriptors as it may: each sandbox takes a few, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
