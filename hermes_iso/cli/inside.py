"""A gateway in this process: what has to hold before one is opened."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from hermes_iso.cli.logs import configure_logs
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso_sandbox.capability import probe, require


def prepare(config: Config, *, level: int) -> None:
    """Refuse where this machine can't isolate agents, and log from `level` upwards. Raises UnsupportedSandboxError."""
    require(probe(config.home))
    configure_logs(level)


def prepared(home: Path, *, level: int) -> Config:
    """Return a home's config where a gateway can be opened on it. Raises ConfigError, UnsupportedSandboxError."""
    config = load_config(home, os.environ)
    prepare(config, level=level)
    return config


def raise_descriptor_limit() -> None:
    """Let this process open as many descriptors as it may: each sandbox takes a few, and the usual soft limit is 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
