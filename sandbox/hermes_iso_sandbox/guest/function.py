"""Call one function that came by value, and send what it returns, yields or raises as data.

This is the one module that reads a pickle, and it does so inside: the host wrote it, and whatever it may hold can do no more
than the code that it brings.
"""

from __future__ import annotations

import base64
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import cloudpickle

from hermes_iso_sandbox import call_wire
from hermes_iso_sandbox.guest.link import Link
from hermes_iso_sandbox.guest.values import to_text

PIECE = 1 << 17
"""Characters of a value in one message: escaped, each may need six bytes."""
TEXT_CHARS = 20_000
TRACEBACK_CHARS = 60_000
ENDING = frozenset(
    {
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGABRT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
    }
)


def serve_function(first: call_wire.FunctionCall, link: Link) -> None:
    """Take in all pieces of a call, make it, and send its end."""
    os.kill = _kill
    signal.raise_signal = partial(_kill, os.getpid())
    try:
        function, args, kwargs = cloudpickle.loads(_pickled(first, link))
        value = function(*args, **kwargs)
        if isinstance(value, Iterator):
            for each in value:
                _send(link, call_wire.Yielded, each)
            value = None
        _send(link, call_wire.Returned, value)
    except BaseException as error:  # sys.exit and Ctrl-C of a function are its own as well
        link.send(_raised(error))


def _kill(pid: int, number: int, _kill: Callable[[int, int], None] = os.kill) -> None:
    """Send a signal; one that has to end this process does, though the kernel keeps them from the first of a pid namespace."""
    deadly = number in (signal.SIGKILL, signal.SIGSTOP) or (number in ENDING and signal.getsignal(number) == signal.SIG_DFL)
    if pid == os.getpid() and deadly:
        os._exit(128 + number)
    _kill(pid, number)


def _pickled(piece: call_wire.FunctionCall, link: Link) -> bytes:
    """Return what was pickled, once all pieces of it are there."""
    parts = [piece.pickled]
    while piece.more:
        piece = link.receive()
        parts.append(piece.pickled)
    return base64.b64decode("".join(parts))


def _send(link: Link, kind: type[call_wire.Yielded | call_wire.Returned], value: Any) -> None:
    """Send a value in as many pieces as it takes."""
    text = to_text(value)
    starts = range(0, len(text), PIECE)
    for start in starts:
        link.send(kind(text[start : start + PIECE], start != starts[-1]))


def _raised(error: BaseException) -> call_wire.Raised:
    """Return what a function raised as text. Printing it runs its code, which may fail as well."""
    try:
        message = str(error)
    except Exception:
        message = "(its text can't be made)"
    try:
        trace = "".join(traceback.format_exception(error))
    except Exception:
        trace = "(its traceback can't be made)"
    return call_wire.Raised(type(error).__qualname__[:200], message[:TEXT_CHARS], trace[-TRACEBACK_CHARS:])
