"""`prove`: the attack and leak suite against this installation."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import trio
from cyclopts import App, Parameter

from hermes_iso.cli.exits import FAILED
from hermes_iso.cli.logs import configure_logs
from hermes_iso.cli.options import HomeOption, JsonOption, find_home, print_json
from hermes_iso.cli.unbounded import NOT_BOUNDED
from hermes_iso.errors import UsageError
from hermes_iso.prove.catalogue import choose
from hermes_iso.prove.probe import Probe, Result
from hermes_iso.prove.report import BAD, as_json, listing, listing_json, summary, table
from hermes_iso.prove.runner import prove, self_test
from hermes_iso_sandbox.capability import probe as examine
from hermes_iso_sandbox.capability import require

FEWEST_AGENTS, MOST_AGENTS = 2, 16


def add_commands(app: App) -> None:
    """Add `prove`."""
    app.command(run_suite, name="prove")
