"""What host-side probes look at: the machine's processes and SysV segments by a mark, and where a turn and others meet."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import trio

from hermes_iso.background import Background
from hermes_iso.prove.probe import BrokenProbeError
from hermes_iso.prove.trial import Trial

SETTLE = 5.0
"""Seconds for something that must be gone to be gone."""
MEET = 20.0
"""Seconds for a turn to get to where the host meets it."""


def living(mark: str) -> list[int]:
    """Return the pids of this machine whose command line holds `mark`."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and mark in _command_line(entry)]


def owners(mark: str) -> set[int]:
    """Return the host uids of the processes whose command line holds `mark`."""
    uids = set()
    for pid in living(mark):
        with contextlib.suppress(FileNotFoundError):  # a fork that was about to become something else
            uids.add(os.stat(f"/proc/{pid}").st_uid)
    return uids


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
        return True
    return False


@contextlib.contextmanager
def host_process(mark: str) -> Iterator[int]:
    """Run a process on the host that carries a mark in its command line."""
    argv = [sys.executable, "-I", "-S", "-c", "import time; print('runs', flush=True); time.sleep(120)", mark]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={}, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # by then its command line is there to be seen
            yield process.pid
        finally:
            process.kill()


def segments(key: int) -> list[int]:
    """Return the ids of this machine's SysV shared memory segments with a key."""
    try:
        rows = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return []
    return [int(row.split()[1]) for row in rows if int(row.split()[0]) == key]


@contextlib.asynccontextmanager
async def meeting(trial: Trial, attack: str, *, agent: str | None = None, **given: Any) -> AsyncIterator[str]:
    """Run a turn of an agent (the attacker) that calls `meet(text)` when others may look; it ends when they have.

    Gives the text. Raises BrokenProbeError when it never comes to that.
    """
    agent = agent or trial.me
    met = trial.stage.workspace(agent) / f"met-{trial.mark}"
    code = f"""
def meet(text='x'):
    write('{met.name}.new', text)
    os.rename('{met.name}.new', '{met.name}')
    time.sleep({MEET})
{attack}"""
    async with Background() as nursery:
        nursery.start_soon(_quietly, partial(trial.attack, code, agent=agent, chat="meeting", **given))
        if not await wait_until(met.exists):
            raise BrokenProbeError("the turn never came to where others look")
        yield met.read_text(encoding="utf-8")[:1000]


async def _quietly(attack: Callable[[], Awaitable[list[str]]]) -> None:
    """Run a turn whose end nobody judges: others look meanwhile."""
    with contextlib.suppress(BrokenProbeError):
        await attack()
