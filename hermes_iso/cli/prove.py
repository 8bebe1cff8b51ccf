"""`prove`: the attack and leak suite against this installation."""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from typing import Annotated

import trio
from cyclopts import App, Parameter

from hermes_iso.cli.bounds import unbounded_here
from hermes_iso.cli.exits import FAILED, INTERRUPTED
from hermes_iso.cli.logs import configure_logs
from hermes_iso.cli.options import HomeOption, JsonOption, find_home, print_json
from hermes_iso.errors import UsageError
from hermes_iso.prove import suite
from hermes_iso_sandbox.capability import landlock_abi, probe, require

FEWEST, MOST = 2, 16
LEVELS = ("namespace",)


def add_commands(app: App) -> None:
    """Add `prove`."""
    app.command(run_suite, name="prove")


def run_suite(
    *,
    agents: Annotated[int, Parameter(help="How many throw-away agents attack (2 to 16).")] = FEWEST,
    only: Annotated[str, Parameter(help="Ids of probes and names of categories, with commas between them.")] = "",
    list_probes: Annotated[bool, Parameter(name="--list", negative=(), help="List the probes and run none.")] = False,
    self_test: Annotated[bool, Parameter(negative=(), help="Show that each probe finds its hole with its layer off.")] = False,
    strict: Annotated[bool, Parameter(negative=(), help="A limit that can't be enforced here fails its probes.")] = False,
    level: Annotated[str, Parameter(help="The isolation to attack; this version has namespace.")] = LEVELS[0],
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Attack this installation as turns of throw-away agents. Exit 0 when all held, 1 when something got through."""
    chosen = suite.choose(only.split(","))
    if level not in LEVELS:
        raise UsageError(f"--level {level} is not available in this version: it has {', '.join(LEVELS)}.")
    if not FEWEST <= agents <= MOST:
        raise UsageError(f"--agents must be a number from {FEWEST} to {MOST}, and {agents} is not.")
    if list_probes:
        print_json(suite.listing_json(chosen)) if as_json else print("\n".join(suite.listing(chosen)))
        return 0
    where = find_home(home)
    require(probe(next(each for each in (where, *where.parents) if each.is_dir())))
    configure_logs(logging.INFO if os.environ.get("HERMES_ISO_DEBUG") == "1" else logging.CRITICAL)
    secret = suite.new_secret()
    os.environ[suite.CANARY_NAME] = secret  # what the probes of category env look for
    run = partial(suite.self_test if self_test else suite.prove, chosen, secret=secret, agents=agents, strict=strict)
    results = trio.run(_until_signal, partial(run, unbounded=_not_here()))
    if results is None:
        return INTERRUPTED
    if as_json:
        print_json(suite.as_json(results))
    else:
        print("\n".join([*suite.table(results, colours=sys.stdout.isatty()), suite.summary(results, self_test=self_test)]))
    return FAILED if suite.counts(results)["failed"] else 0


def _not_here() -> dict[str, str]:
    """Return what this machine can't keep, and probes need, each with the reason."""
    missing = {} if landlock_abi() else {"landlock": "not in this kernel"}
    return {**unbounded_here(), **missing}


async def _until_signal(run: suite.Run) -> list[suite.Result] | None:
    """Run, or return None after SIGINT or SIGTERM: by then every turn has ended and every file is gone."""
    results: list[suite.Result] | None = None

    async def watch(scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(watch, nursery.cancel_scope)
        results = await run()
        nursery.cancel_scope.cancel()
    return results
