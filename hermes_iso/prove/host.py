"""What host-side probes look at: the machine's processes and SysV segments by a mark, and meeting points with a running turn."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import trio

from hermes_iso.prove.probe import BrokenProbeError
from hermes_iso.prove.trial import Trial

SETTLE = 5.0
"""Seconds for something that must be gone to be gone."""
MEET = 20.0
"""Seconds for a turn to get to where the host meets it."""


def living(mark: str) -> list[int]:
    """Return the pids of this machine whose command line holds `mark`."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in _command_line(entry)]


def _command_line(entry: Path) -> str:
    """Return a process's command line, "" when it is gone or a zombie."""
    try:
        return (entry / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def end_all(mark: str) -> list[int]:
    """Kill what is left with a mark that this run alone has; return the pids."""
    left = living(mark)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return left


async def wait_until(condition: Callable[[], bool], seconds: float = MEET) -> bool:
    """Wait until a condition holds; return whether it came to that."""
    with trio.move_on_after(seconds):
        while not condition():
            await trio.sleep(0.01)
    return condition()


@contextlib.contextmanager
def host_process(mark: str) -> Iterator[int]:
    """Run a process on the host that carries a mark in its command line."""
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(120)", mark]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env={}, start_new_session=True)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def segments(key: int) -> list[int]:
    """Return the ids of this machine's SysV shared memory segments with a key."""
    try:
        rows = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    return [int(row.split()[1]) for row in rows if int(row.split()[0]) == key]


@contextlib.asynccontextmanager
async def meeting(trial: Trial, attack: str, *, agent: str | None = None, **given: object) -> AsyncIterator[str]:
    """Run a turn of an agent (the attacker) that calls `meet(text)` when others may look, and goes on until they have.

    Gives the text. Raises BrokenProbeError when it never comes to that.
    """
    agent = agent or trial.me
    workspace = trial.stage.workspace(agent)
    met, part = workspace / f"met-{trial.mark}", workspace / f"part-{trial.mark}"
    wait = f"wait_for(lambda: os.path.exists('part-{trial.mark}'), {MEET})"
    code = f"def meet(text='x'):\n    write('half', text)\n    os.rename('half', 'met-{trial.mark}')\n    {wait}\n{attack}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_quietly, partial(trial.attack, code, agent=agent, chat="meeting", **given))
        try:
            if not await wait_until(met.exists):
                raise BrokenProbeError("the turn never came to where others look")
            yield met.read_text(encoding="utf-8")[:100]
        finally:
            part.touch()


async def _quietly(attack: Callable[[], Awaitable[list[str]]]) -> None:
    """Run a turn whose end nobody judges: others have looked meanwhile."""
    with contextlib.suppress(BrokenProbeError):
        await attack()
