"""The groups of commands, in the order in which `--help` lists them: one file each."""

from __future__ import annotations

from hermes_iso.cli import (
    adopt,
    agent,
    bench,
    command,
    control,
    egress,
    home,
    importing,
    keeping,
    policy,
    prove,
    route,
    serve,
    setup,
    talk,
)

GROUPS = (serve, setup, adopt, talk, command, control, agent, policy, egress, route, importing, home, keeping, prove, bench)
