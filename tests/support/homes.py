"""Homes for tests: write one from texts, load it, and read what is wrong with it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from hermes_iso.config.load import load_config
from hermes_iso.config.schema import Config
from hermes_iso.errors import ConfigError


def make_home(where: Path, config: str | None = None, files: Mapping[str, str] | None = None) -> Path:
    """Write a home at `where`: its config.yaml and further files by relative path; a path that ends in / is a directory."""
    where.mkdir(parents=True, exist_ok=True)
    if config is not None:
        (where / "config.yaml").write_text(textwrap.dedent(config))
    for name, text in (files or {}).items():
        path = where / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
    return where


def load(where: Path, config: str | None = None, files: Mapping[str, str] | None = None, **environ: str) -> Config:
    """Write a home and load it."""
    return load_config(make_home(where, config, files), environ)


def mistakes(where: Path, config: str | None = None, files: Mapping[str, str] | None = None, **environ: str) -> list[str]:
    """Write a home that is wrong and return its problems as lines, with the home's path written as HOME."""
    make_home(where, config, files)
    with pytest.raises(ConfigError) as caught:
        load_config(where, environ)
    return str(caught.value).replace(str(where), "HOME").splitlines()
