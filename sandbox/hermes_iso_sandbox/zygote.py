"""Speak to one sandbox's zygote: start the sandbox, fork turns and commands, learn when they are gone, end it all."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Mapping, Sequence

import anyio
from anyio.abc import TaskGroup, UNIXSocketStream

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.cgroups import Cgroup
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.holder import Holder
from hermes_iso_sandbox.settings import turn_settings
from hermes_iso_sandbox.stderr_tail import StderrTail
from hermes_iso_sandbox.template import Template

START_TIMEOUT = 20.0
KILL_TIMEOUT = 5.0


class Forked:
    """One turn or command that the zygote forked; `status` is as a shell shows it once `gone` is set, None if unknown.

    why: what the host ended it for, when it was a limit. stderr: where a turn's confinement has it kept.
    """

    __slots__ = ("gone", "number", "status", "stderr", "why")

    def __init__(self, number: int) -> None:
        self.number = number
        self.gone = anyio.Event()
        self.status: int | None = None
        self.why: SandboxError | None = None
        self.stderr: StderrTail | None = None


class Zygote:
    """A running sandbox of one confinement, as the host sees it. Made by `start_zygote`."""

    def __init__(self, holder: Holder, cgroup: Cgroup, control: UNIXSocketStream) -> None:
        self.confinement = holder.confinement
        self.holder = holder
        self.cgroup = cgroup
        self.dead = anyio.Event()
        self._control = control
        self._sending = anyio.Lock(fast_acquire=True)
        self._numbers = itertools.count(1)
        self._forked: dict[int, Forked] = {}
        self._shares: dict[int, tuple[anyio.Event, list[bool]]] = {}
        self._settled = anyio.Event()  # it serves, or it never will

    async def fork_turn(self, shared: int = 0) -> tuple[Forked, UNIXSocketStream]:
        """Fork a turn process that waits for its request; return it and the host's end of its channel.

        Reading that takes bytes alone, so a descriptor that a guest pushes is dropped.
        """
        ours, theirs = _channel()
        stderr = _stderr() if self.confinement.keep_stderr else None
        with theirs:
            try:
                fds = [theirs.fileno(), *([stderr.theirs] if stderr else [])]
                forked = await self._spawn(fds, kind="turn", shared=shared)
                forked.stderr = stderr
                return forked, await UNIXSocketStream.from_socket(ours)
            except BaseException:
                ours.close()
                if stderr:
                    stderr.close()
                raise
            finally:
                if stderr:
                    os.close(stderr.theirs)

    async def fork_command(
        self,
        argv: Sequence[str],
        *,
        stdio: tuple[int, int, int],
        cwd: str | None,
        env: Mapping[str, str],
        shared: int = 0,
    ) -> tuple[Forked, socket.socket | None]:
        """Fork a command on these three descriptors; the caller keeps and closes its own copies.

        Return it and, where the confinement has doors, the channel that it hands its own over on; see `door.receive_door`.
        """
        what = {"kind": "command", "argv": list(argv), "cwd": cwd or "", "env": dict(env), "shared": shared}
        if not self.confinement.door:
            return await self._spawn(list(stdio), **what), None
        ours, theirs = _channel()
        with theirs:
            try:
                return await self._spawn([*stdio, theirs.fileno()], **what), ours
            except BaseException:
                ours.close()
                raise

    async def fork_usage(self, stdio: tuple[int, int, int], **what: object) -> Forked:
        """Fork a process that counts what directories take up and writes that to its stdout; see guest.usage."""
        return await self._spawn(list(stdio), kind="usage", **what)

    async def kill(self, forked: Forked) -> None:
        """End a turn or command and return when its pid namespace is empty. Cancelling does not cut it short.

        A zygote that does not answer in time is ended with all that it holds.
        """
        with anyio.CancelScope(shield=True):
            if forked.gone.is_set():
                return
            with anyio.move_on_after(KILL_TIMEOUT), contextlib.suppress(SandboxError):
                await self._send(t="kill", id=forked.number)
                await forked.gone.wait()
            if not forked.gone.is_set():
                await self.end()

    async def share(self, forked: Forked) -> int:
        """Keep a living turn's network and mount namespace; return the number to fork others into them.

        Cancelling is heard once that is settled: let the number go then, as at any other time.
        """
        number = next(self._numbers)
        done, answer = anyio.Event(), [False]
        self._shares[number] = (done, answer)
        try:
            await self._send(t="share", id=forked.number, shared=number)
            with anyio.CancelScope(shield=True):  # else they would be kept for nobody; the answer takes two seconds at most
                await done.wait()
        finally:
            del self._shares[number]
        if not answer[0]:
            raise SandboxError("The turn ended before its session's namespaces could be kept.")
        return number

    async def unshare(self, number: int) -> None:
        """Let kept namespaces go."""
        with contextlib.suppress(SandboxError):
            await self._send(t="unshare", shared=number)

    async def end(self) -> None:
        """Kill the sandbox and everything in it; return when it is gone."""
        with anyio.CancelScope(shield=True):
            self.dead.set()
            await self.holder.end()
            with contextlib.suppress(OSError):
                await self._control.aclose()
            self._all_gone()

    async def serve(self) -> None:
        """Take in what the zygote reports until it is gone; the pool runs this in its task group.

        Cancelling ends the sandbox: with nobody to hear that a turn is gone, whoever waits for that would wait in vain.
        """
        reader = wire.FrameReader()
        try:
            with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, wire.WireError):
                while True:
                    for body in reader.feed(await self._control.receive()):
                        self._take(wire.decode_object(body))
        finally:
            await self.end()

    def _take(self, message: wire.JsonObject) -> None:
        """Act on one report."""
        kind = message.get("t")
        if kind == "ready":
            self._settled.set()
        elif kind == "exited" and (forked := self._forked.pop(int(message["id"]), None)) is not None:
            forked.status = int(message["status"])
            forked.gone.set()
        elif kind == "shared" and (waiting := self._shares.get(int(message["shared"]))) is not None:
            waiting[1][0] = bool(message["ok"])
            waiting[0].set()

    def _all_gone(self) -> None:
        """Tell everybody who waits that nothing of this sandbox lives any more."""
        self._settled.set()
        for forked in self._forked.values():
            forked.gone.set()
        self._forked.clear()
        for done, _ in self._shares.values():
            done.set()

    async def _spawn(self, fds: list[int], **what: object) -> Forked:
        """Send one fork order with its descriptors."""
        forked = Forked(next(self._numbers))
        self._forked[forked.number] = forked
        try:
            await self._send(fds, t="spawn", id=forked.number, **what)
        except SandboxError:
            self._forked.pop(forked.number, None)
            raise
        return forked

    async def _send(self, fds: Sequence[int] = (), /, **message: object) -> None:
        """Send one frame, whole, whatever cancels us: half a frame would end the sandbox."""
        if self.dead.is_set():
            raise SandboxError("The sandbox is gone.")
        try:
            frame = wire.encode_object(dict(message))
        except wire.WireError as error:
            raise SandboxError(f"The command is too long: {error}.") from error
        with anyio.CancelScope(shield=True):
            async with self._sending:
                try:
                    if fds:
                        await self._control.send_fds(frame[:1], list(fds))
                        frame = frame[1:]
                    await self._control.send(frame)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
                    raise SandboxError("The sandbox is gone.") from error

    async def wait_ready(self, settings: wire.JsonObject) -> None:
        """Configure the zygote and wait until it serves. Raise SandboxError when it does not."""
        await self._send(t="configure", settings=settings)
        with anyio.move_on_after(START_TIMEOUT):
            await self._settled.wait()
        if self.dead.is_set() or not self._settled.is_set():
            await self.end()
            raise SandboxError("The sandbox did not start: its zygote ended, or took too long.")


def _stderr() -> StderrTail:
    """Return a pipe for a turn's stderr."""
    try:
        return StderrTail()
    except OSError as error:
        raise SandboxError(f"No process can be had: {error.strerror}.") from error


def _channel() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a new channel."""
    try:
        return socket.socketpair()
    except OSError as error:
        raise SandboxError(f"No process can be had: {error.strerror}.") from error


async def begin_zygote(confinement: Confinement, template: Template, cgroup: Cgroup) -> socket.socket:
    """Fork a zygote that joins its groups and waits for its holder; return the host's end of its control socket.

    Closing that ends it. Raises SandboxError.
    """
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:
        raise SandboxError(f"The sandbox did not start: {error.strerror}.") from error
    try:
        with theirs, cgroup.opened() as procs:
            await template.fork_zygote(theirs.fileno(), procs, confinement.without)
    except BaseException as error:
        ours.close()
        if isinstance(error, OSError):
            raise SandboxError(f"The sandbox did not start: {error.strerror}.") from error
        raise
    return ours


async def start_zygote(control: socket.socket, holder: Holder, cgroup: Cgroup, tasks: TaskGroup) -> Zygote:
    """Let a zygote that waits on `control` enter its holder, and return when it can fork.

    tasks: carries its reader until it ends. cgroup: the groups that bound it. Raises SandboxError when it does not start;
    cancelling ends it, and in both cases the holder with it.
    """
    zygote = None
    try:
        socket.send_fds(control, [b"h"], [holder.started.first])
        zygote = Zygote(holder, cgroup, await UNIXSocketStream.from_socket(control))
        tasks.start_soon(zygote.serve)
        limits = cgroup.process_limits(holder.confinement.limits)
        await zygote.wait_ready(turn_settings(holder.confinement, holder.plan, limits))
    except BaseException as error:
        if zygote is not None:
            await zygote.end()  # closes its channel as the task that reads from it has to learn of it
        else:
            await holder.end()
            control.close()
        if isinstance(error, OSError):
            raise SandboxError(f"The sandbox did not start: {error.strerror}.") from error
        raise
    return zygote
