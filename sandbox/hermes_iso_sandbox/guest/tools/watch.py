"""Watch over a tool that works in the turn process itself: stop it when the host wants an end or its time is over.

A search may meet a huge tree, and a regular expression may take for ever on one line. No loop of ours can look at the clock
inside `re`; but the interpreter runs signal handlers there too, so a timer's handler looks at the link and the clock.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hermes_iso_sandbox.guest.link import Interrupted
from hermes_iso_sandbox.guest.tools.tool import Bench

STEP = 0.04
"""Seconds between two looks."""


class TimeIsOver(Exception):  # noqa: N818  # a limit, for the tool to turn into a result
    """The watched work took longer than it may."""


@contextmanager
def watched(bench: Bench, seconds: float) -> Iterator[None]:
    """Bound the work inside. Raises there Interrupted when the host wants an end, TimeIsOver after `seconds`."""
    deadline = time.monotonic() + seconds

    def look(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a handler has this form
        interrupted = bench.link.poll_interrupt()
        if interrupted or time.monotonic() > deadline:
            signal.setitimer(signal.ITIMER_REAL, 0)  # it raises once: never again while the work cleans up
            raise Interrupted if interrupted else TimeIsOver

    handler = signal.signal(signal.SIGALRM, look)
    timer = signal.setitimer(signal.ITIMER_REAL, STEP, STEP)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)
