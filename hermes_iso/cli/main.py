"""The entry point: from argv to an exit code, and from every error to one sentence."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from hermes_iso import __version__
from hermes_iso.cli import agent, route, serve, setup, talk
from hermes_iso.cli.exits import report
from hermes_iso.errors import UsageError

_PIPE = 141  # 128+SIGPIPE, as a shell shows it


def build_app() -> App:
    """Return the command line with every command of this version."""
    app = App(
        name="hermes-iso",
        help="One gateway for many mutually untrusted agents, each turn in a fresh process in its own sandbox.",
        version=__version__,
        help_formatter="plain",
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for group in (serve, setup, talk, agent, route):
        group.add_commands(app)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what goes wrong is one sentence on stderr and never a traceback."""
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone; the interpreter's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE
    except BaseException as error:  # noqa: BLE001  # the last supervision point: nothing is above but the interpreter
        return report(error)


def _run(argv: list[str]) -> int:
    app = build_app()
    try:
        status = app(_home_behind_command(app, argv))
    except CycloptsError as error:
        raise UsageError(_sentence(error)) from error
    return status if isinstance(status, int) else 0


def _home_behind_command(app: App, argv: list[str]) -> list[str]:
    """Move a `--home` that stands before the command to right behind the command's words, where its parser takes it."""
    home: list[str] = []
    rest = list(argv)
    while rest and (rest[0] == "--home" or rest[0].startswith("--home=")):
        if rest[0] == "--home" and len(rest) < 2:
            raise UsageError("--home needs a directory.")
        home, rest = ([rest[0]], rest[1:]) if "=" in rest[0] else (["--home", rest[1]], rest[2:])
    words = 0
    known = app
    while words < len(rest) and not rest[words].startswith("-") and rest[words] in known:
        known = known[rest[words]]
        words += 1
    if not home or not words or known.default_command is None:
        return rest
    return [*rest[:words], *home, *rest[words:]]


def _sentence(error: CycloptsError) -> str:
    """Return the parser's complaint as one line that says where to read on."""
    return f"{' '.join(str(error).split()).rstrip('.')}. See: hermes-iso --help"
