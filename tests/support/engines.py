"""A stand-in for the interpreter of engine hermes, for tests that only need it to say which version it has."""

from __future__ import annotations

from pathlib import Path

ENGINE = "engines: {hermes: {python: ../python}}\n"
"""The line of a home's config.yaml that names the stand-in beside the home."""


def make_engine(beside: Path, version: str = "0.19.0") -> None:
    """Put the stand-in beside a home."""
    (beside.parent / "python").write_text(f"#!/bin/sh\nprintf '3.11\\n{version}\\n'\n")
    (beside.parent / "python").chmod(0o755)
