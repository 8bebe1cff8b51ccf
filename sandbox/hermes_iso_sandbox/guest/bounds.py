"""Bound a sandbox from inside, once: join the cgroups that the host opened, step behind the gateway, be the first to die.

Turns, commands and background processes are forked from a zygote that has joined, so none of them ever has to. After that the
zygote's groups are the root of its cgroup namespace: /proc/self/cgroup inside tells nothing of the host's names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from hermes_iso_sandbox.guest import kernel

NICE = 5
OOM_SCORE = b"500"
"""Half of all memory: the kernel takes a turn long before it takes the gateway or the zygote."""


def join(procs: Iterable[int]) -> None:
    """Join each group whose cgroup.procs is open at one of these descriptors, which are closed."""
    for fd in procs:
        os.write(fd, b"0")
        os.close(fd)


def step_back() -> None:
    """Make the joined groups the root of what can be seen of them, and lower the own priority."""
    kernel.unshare(kernel.CLONE_NEWCGROUP)
    os.nice(NICE)


def die_first() -> None:
    """Let the kernel take this process, and what it starts, before others when memory runs out."""
    fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
    os.write(fd, OOM_SCORE)
    os.close(fd)
