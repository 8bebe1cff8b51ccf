"""Run one command of a turn in the foreground: bounded output, a time limit, and an interrupt that is seen at once.

A shell is done when it exits, although a daemon that it started may hold its output pipe open for ever. So the end of the
process is watched, not the end of the pipe; what is in the pipe by then is read without blocking, and the pipe is closed.

A turn is pid 1 of its pid namespace, so what a command leaves behind becomes its child: it is reaped here.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from hermes_iso_sandbox.guest.link import Interrupted
from hermes_iso_sandbox.guest.tools.tool import Bench

HEAD, TAIL = 1 << 18, 1 << 19
"""Bytes of output that are kept while a command runs: the first and the last."""
READ_SIZE = 1 << 16
DRAIN_READS = 32
"""Most reads after the end: a daemon that keeps writing must not keep the turn."""
REAP_EVERY = 1.0
"""Seconds between two looks for orphans while a command runs: until then they count among the agent's processes."""
TERM_GRACE = 0.5
"""Seconds between asking and forcing a command that ran out of time."""


class Output:
    """The beginning and the end of what a command printed; the middle is counted only."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take in more."""
        self.total += len(data)
        room = HEAD - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room < len(data) else b""
        if len(self._tail) > 2 * TAIL:
            del self._tail[:-TAIL]

    def text(self, limit: int) -> str:
        """Return it as text of about `limit` characters, two fifths of them from the beginning; says what is left out."""
        tail = bytes(self._tail[-TAIL:])
        gap = self.total - len(self._head) - len(tail)
        if not gap:
            whole = (bytes(self._head) + tail).decode("utf-8", "replace")
            return whole if len(whole) <= limit else _joined(whole, whole, limit, f"{len(whole) - limit} characters")
        return _joined(
            self._head.decode("utf-8", "replace"), tail.decode("utf-8", "replace"), limit, f"most of {self.total} bytes"
        )


def _joined(head: str, tail: str, limit: int, omitted: str) -> str:
    """Return the first and the last part of a text with a note between them."""
    first = limit * 2 // 5
    note = f"\n\n[output cut: {omitted} left out here]\n\n"
    return head[:first] + note + tail[-(limit - first) :]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended; `status` as a shell shows it (128+signal), 124 when it ran out of time."""

    output: Output
    status: int
    timed_out: bool
    seconds: float


def run(
    bench: Bench,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float,
    pass_fds: Sequence[int] = (),
) -> Finished:
    """Run a command in its own process group. Raises OSError when it can't start, Interrupted after killing it."""
    started = time.monotonic()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=bench.cwd,
        env=env,
        pass_fds=pass_fds,
        process_group=0,
    )
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    output = Output()
    try:
        os.set_blocking(pipe, False)
        ended = _watch(bench, process, output, started + timeout)
        _drain(pipe, output)
        status = process.returncode if ended else 124
        return Finished(output, 128 - status if status < 0 else status, not ended, time.monotonic() - started)
    finally:
        if process.poll() is None:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def _watch(bench: Bench, process: subprocess.Popen[bytes], output: Output, deadline: float) -> bool:
    """Collect output until the process has ended (True) or its time is over and its group was killed (False)."""
    assert process.stdout is not None
    pidfd = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            selector.register(bench.link, selectors.EVENT_READ)
            selector.register(pidfd, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fileobj for key, _ in selector.select(min(left, REAP_EVERY))}
                reap_orphans(process.pid)
                if process.stdout in ready and not _read(process.stdout.fileno(), output):
                    selector.unregister(process.stdout)
                if bench.link in ready and bench.link.poll_interrupt():
                    raise Interrupted
                if pidfd in ready:
                    process.wait()
                    return True
    finally:
        os.close(pidfd)
    _end_group(process)
    return False


def reap_orphans(child: int) -> None:
    """Reap every dead child of this process but `child`, whose status is waited for; only pid 1 inherits any."""
    if os.getpid() != 1:
        return
    with suppress(ChildProcessError):
        while (dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None and dead.si_pid != child:
            os.waitpid(dead.si_pid, 0)


def _read(pipe: int, output: Output) -> bool:
    """Take in what is there; False at the end of the pipe."""
    try:
        data = os.read(pipe, READ_SIZE)
    except BlockingIOError:
        return True
    output.add(data)
    return bool(data)


def _drain(pipe: int, output: Output) -> None:
    """Take in what is left in the pipe, without waiting for more."""
    for _ in range(DRAIN_READS):
        before = output.total
        if not _read(pipe, output) or output.total == before:
            return


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask the process group to end, and make it."""
    _signal_group(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(TERM_GRACE)
    _signal_group(process, signal.SIGKILL)
    process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the process's group; it may be gone."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def small_pipe() -> tuple[int, int]:
    """Return a pipe that never blocks its reader."""
    read, write = os.pipe()
    fcntl.fcntl(read, fcntl.F_SETFL, os.O_NONBLOCK)
    return read, write
