"""The entry point: from argv to an exit code, and from every error to one sentence."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from hermes_iso import __version__
from hermes_iso.cli.exits import report
from hermes_iso.cli.groups import GROUPS
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
    for group in GROUPS:
        group.add_commands(app)
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what goes wrong is one sentence on stderr and never a traceback."""
    _open_missing_streams()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return _PIPE
    except BaseException as error:  # noqa: BLE001  # the last supervision point: nothing is above but the interpreter
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _drop_output()
        return report(error)


def _open_missing_streams() -> None:
    """Put /dev/null where the caller closed a stream: else the next file that is opened would be taken for it."""
    for name, fd, flags in (("stdin", 0, os.O_RDONLY), ("stdout", 1, os.O_WRONLY), ("stderr", 2, os.O_WRONLY)):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, flags)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            setattr(sys, name, open(fd, "r" if fd == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115  # for ever


def _drop_output() -> None:
    """Forget what could not be written: the interpreter's own flush at exit must not complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    told, _, _ = " ".join(str(error).split()).partition(" Available commands:")  # of which it lists but the first few
    return f"{told if told.endswith('?') else told.rstrip('.') + '.'} See: hermes-iso --help"
