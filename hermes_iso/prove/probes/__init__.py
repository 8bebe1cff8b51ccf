"""The probes: one file per category, each a tuple PROBES."""

from __future__ import annotations

from importlib import import_module
from typing import get_args

from hermes_iso.prove.probe import Category, Probe


def load_all() -> tuple[Probe, ...]:
    """Return every probe, by category."""
    files = (import_module(f"{__name__}.{category}") for category in get_args(Category))
    return tuple(probe for file in files for probe in file.PROBES)
