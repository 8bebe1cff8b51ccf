"""`bench turns`: what isolation costs on this machine, and whether it holds under load."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hermes_iso.bench_turns.report import describe_run, missed_targets, rows, sentence
from hermes_iso.bench_turns.run import Scale, benchmark
from hermes_iso.cli.exits import FAILED
from hermes_iso.cli.inside import raise_descriptor_limit
from hermes_iso.cli.options import HomeOption, JsonOption, print_json, print_table, say
from hermes_iso.errors import UsageError
from hermes_iso_sandbox.capability import probe, require


def add_commands(app: App) -> None:
    """Add the group `bench`."""
    group = App(name="bench", help="Measure.")
    group.command(turns)
    app.command(group)


def turns(
    *,
    n: Annotated[int, Parameter(name="--n", help="Rounds of interleaved turns.")] = 150,
    check: Annotated[bool, Parameter(negative=(), help="Exit 1 when a figure misses its target.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Measure isolated turns against a warm process without isolation, in throw-away homes. Exit 1 when a turn failed."""
    del home  # every command takes it; what is measured are fresh homes of its own, wherever $TMPDIR is
    if n < 1:
        raise UsageError(f"--n must be at least 1, and {n} is not.")
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory(prefix="hermes-iso-bench-", ignore_cleanup_errors=True) as directory:
        require(probe(Path(directory)))
        run = describe_run(n)
        figures = benchmark(Path(directory).resolve(), Scale.of(n), say)
    if as_json:
        print_json(figures | {"run": run})
    else:
        print_table(rows(figures))
        print(sentence(run))
        print(
            f"Before each turn of the first five rows, {figures['pause_ms']:g} ms pass, as between messages: so a spare waits."
        )
    missed = missed_targets(figures)
    for each in missed:
        say(f"target missed: {each}")
    return FAILED if check and missed else 0
