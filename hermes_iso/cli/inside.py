"""A gateway in this process: for a command that finds none running on its home."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from hermes_iso.cli.logs import configure_logs
from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso_sandbox.capability import probe, require


def prepare(config: Config, *, level: int) -> None:
    """Refuse where this machine can't isolate agents, and log from `level` upwards. Raises UnsupportedSandboxError."""
    require(probe(config.home))
    configure_logs(level)


@asynccontextmanager
async def open_here(home: Path, *, level: int) -> AsyncIterator[Gateway]:
    """Open a gateway on a home under its lock, and log from `level` upwards.

    Raises ConfigError, HomeBusyError, UnsupportedSandboxError.
    """
    config = load_config(home, os.environ)
    prepare(config, level=level)
    async with open_gateway(config) as gateway:
        yield gateway
