"""The suite as its command uses it: choose probes, run them, print what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hermes_iso.prove.catalogue import choose
from hermes_iso.prove.probe import Result
from hermes_iso.prove.report import as_json, counts, listing, listing_json, summary, table
from hermes_iso.prove.runner import prove, self_test
from hermes_iso.prove.stage import CANARY_NAME, new_secret

Run: TypeAlias = Callable[[], Awaitable[list[Result]]]
"""A run of the suite with everything chosen."""

__all__ = [
    "CANARY_NAME",
    "Result",
    "Run",
    "as_json",
    "choose",
    "counts",
    "listing",
    "listing_json",
    "new_secret",
    "prove",
    "self_test",
    "summary",
    "table",
]
