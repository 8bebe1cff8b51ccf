"""`adopt`: say what it means to take over a Hermes home, do it, and give it back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hermes_iso.cli.options import HomeOption, JsonOption, confirm, find_home, print_json, say
from hermes_iso.errors import UsageError
from hermes_iso.hermes import adoption, report
from hermes_iso.hermes.gitconfig import is_wanted, offered
from hermes_iso.hermes.in_use import live_gateways
from hermes_iso.hermes.plan import Plan, make_plan
from hermes_iso.hermes.survey import survey


def add_commands(app: App) -> None:
    """Add `adopt`."""
    app.command(adopt)


def adopt(
    *,
    check: Annotated[bool, Parameter(negative=(), help="Print what would be used and what differs; change nothing.")] = False,
    undo: Annotated[bool, Parameter(negative=(), help="Give everything back as it was.")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do not ask.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Have the agents of an existing Hermes home answer here, by Hermes' own engine, each from a sandbox of its own."""
    if check and undo:
        raise UsageError("--check and --undo are two different things: give one of them.")
    if as_json and not check:
        raise UsageError("--json goes with --check: what adopt does is told in text.")
    where = find_home(home)
    if undo:
        return _undo(where, yes)
    plan = make_plan(where, os.environ)
    return _check(plan, as_json) if check else _adopt(plan, yes)


def _gitconfig(plan: Plan) -> bytes:
    """Return what of the operator's .gitconfig an agent could get; nothing where all of them have one."""
    wanted = any(is_wanted(each.home) for each in plan.new)
    return offered(Path(os.path.expanduser("~"))) if wanted else b""


def _check(plan: Plan, as_json: bool) -> int:
    """Print the report."""
    surveys = [survey(plan.view, each, os.environ) for each in plan.candidates]
    live = live_gateways(plan.home, {each.agent: each.home for each in plan.candidates})
    data = report.as_data(plan, surveys, _gitconfig(plan), live)
    if as_json:
        print_json(data)
    else:
        print("\n".join(report.as_text(data)))
    return 0


def _adopt(plan: Plan, yes: bool) -> int:
    """Say what will be done, ask, and do it."""
    adoption.check_adoptable(plan)
    for each in plan.candidates:
        for reason in each.reasons:
            say(f"{each.agent}: {reason}")
    content = _gitconfig(plan)
    if not plan.new:
        adoption.adopt(plan.home, adoption.Wish(os.environ))
        print(f"Adopted already: {', '.join(each.agent for each in plan.wanted)}.")
        return 0
    print(
        f"Adopts {', '.join(each.agent for each in plan.new)} of {plan.home}: their state files move to .agent/, with symlinks"
    )
    print(f"left for Hermes, and config.yaml gets: {', '.join(report.config_lines(plan))}.")
    if content:
        print("Each agent's HOME gets what of your .gitconfig holds no key, helper or address.")
    for warning in report.warnings(plan):
        say(f"warning: {warning}")
    print(f"What that means in full: hermes-iso adopt --check --home {plan.home}")
    confirm(yes)
    done = adoption.adopt(plan.home, adoption.Wish(os.environ, content))
    print(f"Adopted: {', '.join(each.agent for each in done.new)}. Back again: hermes-iso adopt --undo --home {plan.home}")
    return 0


def _undo(home: Path, yes: bool) -> int:
    """Say what will be given back, ask, and do it."""
    adoption.check_undoable(home)
    print(f"Gives the agents of {home} back to Hermes: state files to where they were, and config.yaml as it was.")
    confirm(yes)
    done = adoption.undo(home)
    for note in done.notes:
        say(note)
    print(f"Given back: {', '.join(done.agents)}.")
    return 0
