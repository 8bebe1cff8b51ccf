"""The template of an interpreter: it has imported all that a turn needs, and every profile's zygote is forked from it.

It runs in bwrap, below the keeper, in a mount namespace without any profile's directory: what it holds in memory every
agent could read. It keeps capabilities in the keeper's user namespace, so that its forks can enter the holders' namespaces.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Sequence

import anyio

from hermes_iso_sandbox import bwrap
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.identity import is_mapped
from hermes_iso_sandbox.keeper import CLONE_SHARED, FIRST_FD, STAGE
from hermes_iso_sandbox.launch import START_TIMEOUT, Keeper, Started, memory_file
from hermes_iso_sandbox.mounts import clone_mount
from hermes_iso_sandbox.system import find_system, guest_code

ENGINE_TIMEOUT = 120.0
"""Seconds that a template has that warms up an engine: where much runs beside it, importing one takes its time."""


class Template:
    """A running template. Made by `start_template`; with `dead` set it can fork no more, what it forked lives on."""

    def __init__(self, started: Started, control: socket.socket, system: bwrap.System, *, hidden: bool) -> None:
        self.system = system
        self.hidden = hidden
        self._started = started
        self._control = control

    @property
    def alive(self) -> bool:
        """Return whether it can fork."""
        return not self._started.ended.is_set()

    async def fork_zygote(self, control: int, procs: Sequence[int], without: Iterable[str]) -> None:
        """Fork a zygote with its end of the control socket; it joins the groups of `procs` and waits there for its holder.

        without: layers that a self-test has switched off; namespaces among them are the keeper's, and not entered.

        Raises SandboxError when the template is gone.
        """
        kept = sum(CLONE_SHARED.get(name, 0) for name in without)
        while True:
            try:
                socket.send_fds(self._control, [b"%d" % kept], [control, *procs])
                return
            except BlockingIOError:
                await anyio.wait_writable(self._control)
            except OSError as error:
                raise SandboxError("The template is gone.") from error

    def close(self) -> None:
        """Hang up, whereupon it ends; what it forked lives on."""
        self._control.close()


async def start_template(keeper: Keeper, python: str | None, engine: str = "") -> Template:
    """Start the template of an interpreter and return when it can fork. Raises SandboxError with its own words.

    engine: see `Confinement`.
    """
    system = find_system(python, packages=bool(engine))
    shown = [await _show(keeper, source) for source in (system.python_source, system.packages_source)]
    system = bwrap.relocated(system, shown[0][0], shown[1][0])
    hidden = all(each for _, each in shown)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with theirs:
        code = memory_file(guest_code())
        try:
            number = keeper.number()
            arguments, command = bwrap.plan_template(system, control_fd=FIRST_FD, code_fd=FIRST_FD + 1, engine=engine)
            timeout = ENGINE_TIMEOUT if engine else START_TIMEOUT
            started = await keeper.start(number, arguments, command, fds=[theirs.fileno(), code], timeout=timeout)
        except BaseException:
            ours.close()
            raise
        finally:
            os.close(code)
    return Template(started, ours, system, hidden=hidden)


async def _show(keeper: Keeper, source: str) -> tuple[str, bool]:
    """Have the keeper show an interpreter's prefix; return its path there, and whether mountinfo inside hides where it lies.

    Where uids are mapped the keeper itself may not reach it. Without a source there is nothing to show.
    """
    if not source:
        return "", True
    if not is_mapped():
        name, hidden = await keeper.show_python(source, None)
        return f"{STAGE}/{name}", hidden
    try:
        mount = clone_mount(source)
    except OSError as error:
        raise SandboxError(f"The interpreter below {source} can't be shown: {error.strerror}.") from error
    try:
        name, hidden = await keeper.show_python(source, mount)
        return f"{STAGE}/{name}", hidden
    finally:
        os.close(mount)
