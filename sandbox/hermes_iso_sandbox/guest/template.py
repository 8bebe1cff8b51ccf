"""Import once what every turn needs, and fork each profile's zygote from here into the namespaces of its holder.

This process sees no profile's directory and holds no secret: every agent can read what it has in memory. Its only channel is
the control socket to the host. An order is one packet, the kinds of namespaces not to enter as a decimal number (0 but in a
self-test), with descriptors beside it: the zygote's own control socket, and the cgroup.procs of each group to join. Joining
takes the kernel milliseconds of waiting, in which the host starts the holder: a pidfd of that is the first thing that the
zygote gets.
"""

from __future__ import annotations

import gc
import importlib
import os
import pkgutil
import signal
import socket
import sys

from hermes_iso_sandbox import guest
from hermes_iso_sandbox.guest import bounds, kernel
from hermes_iso_sandbox.guest.confine import UID
from hermes_iso_sandbox.guest.engines.hermes.warming import warm_up
from hermes_iso_sandbox.guest.packing import fill_holes
from hermes_iso_sandbox.guest.turn import rehearse
from hermes_iso_sandbox.guest.zygote import Zygote

PACKET = 16
MAX_FDS = 16
REHEARSALS = 10
"""How often the interpreter has to see code before it settles on a fast form: done here, no turn pays for it."""


def main(control_fd: int, engine: str = "", packages: str = "") -> None:
    """Be the template, on the control socket that the host left open at `control_fd`.

    engine: what is warmed up besides; packages: where its modules are.
    """
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in pkgutil.walk_packages(guest.__path__, f"{guest.__name__}."):
        importlib.import_module(module.name)
    for _ in range(REHEARSALS):
        rehearse()
    if engine:
        sys.path.append(packages)
        warm_up()
        alone()
    gc.collect()
    filling = fill_holes()
    gc.freeze()
    os.write(1, b"x")
    serve(socket.socket(fileno=control_fd))
    del filling  # it had to be held for as long as there are forks


def alone() -> None:
    """Raise RuntimeError unless this process has one thread: a fork copies no other, and what one held stays held in it."""
    if len(threads := os.listdir("/proc/self/task")) > 1:
        raise RuntimeError(f"the template has {len(threads)} threads, and must have one to be forked")


def serve(control: socket.socket) -> None:
    """Fork a zygote for every packet until the host hangs up."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for what only forks the zygote
    while True:
        data, fds, _, _ = socket.recv_fds(control, PACKET, MAX_FDS)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            _enter(fds, kernel.CLONE_ALL & ~int(data))
        for fd in fds:
            os.close(fd)


def _enter(fds: list[int], kinds: int) -> None:
    """Enter these namespaces of the holder, and fork once more: children alone enter a pid namespace. Never returns."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control = socket.socket(fileno=fds[0])
        bounds.join(fds[1:])
        _, holder, _, _ = socket.recv_fds(control, 1, 1)
        if holder:
            kernel.setns(holder[0], kinds)
            os.close(holder[0])
            if os.fork() == 0:
                _serve_zygote(control)
        status = 0
    except Exception as error:
        os.write(2, f"the zygote failed with {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _serve_zygote(control: socket.socket) -> None:
    """Be the zygote, as the agent's uid and in a session of its own."""
    os.setsid()  # the template's holds every profile's zygote, and a signal to a group asks for the uid alone
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # else /proc/self belongs to nobody
    Zygote(control).serve()
