"""Count what a sandbox's writable directories take up, by a process in that very sandbox, and judge it by the limits.

A hostile tree costs its owner's CPU time and memory, and the host never walks what an agent can write. A count that can't be
brought to its end, because the tree is too deep or takes too long, is over the limit: else that would be the way around it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import anyio

from hermes_iso_sandbox.confinement import Bind, Confinement, Limits
from hermes_iso_sandbox.errors import LimitError, SandboxError
from hermes_iso_sandbox.launch import memory_file
from hermes_iso_sandbox.zygote import Zygote

COUNT_SECONDS, COUNT_TIMEOUT = 30.0, 35.0
"""Seconds that a count may take, and after which one that does not keep to that is ended."""
SHARE = 16
"""Which part of a limit the free space has to change by before the next count."""
UNBOUNDED = 1 << 62


@dataclass(frozen=True, slots=True)
class Counted:
    """What a count found; `end` is "all", or why it ended early: "bound", "depth" or "time"."""

    bytes: int
    inodes: int
    end: str


def writable(confinement: Confinement) -> list[Bind]:
    """Return the binds that the sandbox's processes can write."""
    binds = confinement.binds or (Bind(str(confinement.home), "/home/agent", writable=True),)
    return [bind for bind in binds if bind.writable]


class Space:
    """How much room is left where a sandbox can write: tells cheaply whether a count would find something new."""

    def __init__(self, confinement: Confinement) -> None:
        limits = confinement.limits
        self._steps = tuple(UNBOUNDED if limit is None else limit // SHARE for limit in (limits.disk, limits.inodes))
        self._places = _one_per_file_system(bind.source for bind in writable(confinement))
        self._before = self._read()

    def mark(self) -> None:
        """Measure changes from now on."""
        self._before = self._read()

    def has_changed(self) -> bool:
        """Return whether free bytes or inodes have changed by a sixteenth of a limit, on any file system, whoever did it."""
        return any(
            abs(now - before) > step
            for place in zip(self._read(), self._before, strict=True)
            for now, before, step in zip(*place, self._steps, strict=True)
        )

    def _read(self) -> tuple[tuple[int, int], ...]:
        return tuple(map(_free, self._places))


def _one_per_file_system(paths: Iterable[str]) -> tuple[str, ...]:
    found: dict[int, str] = {}
    for path in paths:
        with contextlib.suppress(OSError):
            found[os.stat(path).st_dev] = path
    return tuple(found.values())


def _free(path: str) -> tuple[int, int]:
    """Return the free bytes and inodes of a file system; nothing is free where a directory was moved away."""
    try:
        found = os.statvfs(path)
    except OSError:
        return 0, 0
    return found.f_bavail * found.f_frsize, found.f_ffree


async def count(zygote: Zygote) -> Counted | None:
    """Count in the sandbox; None when the sandbox is gone. Whoever keeps the count from ending is over the limit.

    Cancelling ends the count.
    """
    limits = zygote.confinement.limits
    try:
        answer = memory_file(b"")
    except OSError:
        return None
    try:
        forked = await zygote.fork_usage(
            (answer, answer, answer),
            roots=[bind.target for bind in writable(zygote.confinement)],
            most_bytes=UNBOUNDED if limits.disk is None else limits.disk,
            most_inodes=UNBOUNDED if limits.inodes is None else limits.inodes,
            seconds=COUNT_SECONDS,
        )
        try:
            with anyio.move_on_after(COUNT_TIMEOUT):
                await forked.gone.wait()
            return (forked.gone.is_set() and read_answer(os.pread(answer, 4096, 0))) or Counted(0, 0, "time")
        finally:
            await zygote.kill(forked)
    except SandboxError:
        return None
    finally:
        os.close(answer)


def read_answer(answer: bytes) -> Counted | None:
    """Return what the counting process wrote, None when that is no answer."""
    try:
        found: Any = json.loads(answer)
        return Counted(int(found["bytes"]), int(found["inodes"]), str(found["counted"]))
    except (ValueError, TypeError, KeyError):
        return None


def judge(counted: Counted, limits: Limits, name: str) -> LimitError | None:
    """Return the error of a sandbox whose directories are over a limit, or None. `name` is the agent's."""
    free = f"free some (hermes-iso exec --agent {name} -- rm -r PATH)"
    how = f"{free}, or raise the limit"
    if limits.disk is not None and counted.bytes > limits.disk:
        text = f"the agent's directories hold more than its disk limit of {size_text(limits.disk)}"
        return LimitError("disk", f"{text}: {how}.")
    if limits.inodes is not None and counted.inodes > limits.inodes:
        text = f"the agent's directories hold more than its limit of {limits.inodes} inodes (files and directories)"
        return LimitError("inodes", f"{text}: {how}.")
    if counted.end == "depth":
        return LimitError("inodes", f"the agent's directories nest too deeply to be counted: {free}.")
    if counted.end == "time":
        text = f"the agent's directories could not be counted within {COUNT_SECONDS:g} s"
        return LimitError("inodes", f"{text}: {free}, or run less at a time.")
    return None


def size_text(size: int) -> str:
    """Return a number of bytes as a config has it: 512M."""
    for letter, unit in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if size % unit == 0:
            return f"{size // unit}{letter}"
    return f"{size}"
