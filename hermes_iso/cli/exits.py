"""Exit codes: what each error means to a script, and the one sentence that a person reads."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterable

from hermes_iso.errors import (
    ConfigError,
    HermesIsoError,
    HomeBusyError,
    RouteRejectedError,
    UnsupportedError,
    UsageError,
)
from hermes_iso_sandbox.errors import GuestTimeoutError, SandboxError, UnsupportedSandboxError

FAILED = 1
USAGE = 2
UNSUPPORTED = 3
INTERNAL = 70
TIMED_OUT = 124
INTERRUPTED = 130
_KNOWN = (HermesIsoError, SandboxError)
_CODES: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((ConfigError, UsageError, HomeBusyError, RouteRejectedError), USAGE),
    ((UnsupportedError, UnsupportedSandboxError), UNSUPPORTED),
    ((GuestTimeoutError,), TIMED_OUT),
    (_KNOWN, FAILED),
    ((OSError,), FAILED),
    ((KeyboardInterrupt,), INTERRUPTED),
)


def exit_code(error: BaseException) -> int:
    """Return the exit code that stands for an error."""
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), INTERNAL)


def report(error: BaseException) -> int:
    """Print what went wrong on stderr, in one sentence and without a traceback, and return the exit code."""
    error = _cause(error)
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0
    code = exit_code(error)
    if isinstance(error, ConfigError):
        print(error, file=sys.stderr)  # FILE:LINE: KEY: what is wrong, as other tools expect at the start of a line
    elif code == INTERNAL:
        said = " ".join(str(error).split())[:300]
        print(f"hermes-iso: unexpected {type(error).__name__}: {said} (HERMES_ISO_DEBUG=1 shows where)", file=sys.stderr)
        if os.environ.get("HERMES_ISO_DEBUG") == "1":
            traceback.print_exception(error)
    elif code != INTERRUPTED:
        print(f"hermes-iso: {error}", file=sys.stderr)
    return code


def _cause(error: BaseException) -> BaseException:
    """Return the one exception to report: a nursery wraps what went wrong in groups. An unexpected one comes first."""
    leaves = list(_leaves(error))
    unexpected = [leaf for leaf in leaves if not isinstance(leaf, (*_KNOWN, KeyboardInterrupt, SystemExit))]
    return (unexpected or leaves)[0]


def _leaves(error: BaseException) -> Iterable[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
