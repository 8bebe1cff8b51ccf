"""Start the keeper of a pool and speak to it: the host's end of everything that bwrap starts.

The keeper is started from this thread, never from a helper thread: the kernel ends it with the thread that forked it, and a
pool of threads would end sandboxes at random. Its environment is empty and so is what it gives on. bwrap's arguments
travel through a descriptor, because argv is public on both sides.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.errors import SandboxError, UnsupportedSandboxError
from hermes_iso_sandbox.keeper import FIRST_FD, INFO_FD, MAX_FDS, PACKET
from hermes_iso_sandbox.last_words import last_words

PROGRAM = (sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name("keeper.py")))
ERROR_BYTES = 1 << 14
START_TIMEOUT = 20.0
END_TIMEOUT = 5.0


def find_bwrap() -> str:
    """Return bwrap's path. Raise UnsupportedSandboxError with the fix when it is not installed."""
    path = shutil.which("bwrap", path="/usr/bin:/usr/local/bin:/bin")
    if path is None:
        raise UnsupportedSandboxError("bubblewrap is not installed. On Debian or Ubuntu: sudo apt-get install bubblewrap")
    return path


class Started:
    """One bwrap that the keeper started: `first` is a pidfd of its first process once `settled`, -1 when it never was ready."""

    def __init__(self, number: int, errors: int) -> None:
        self.number = number
        self.first = -1
        self.settled = anyio.Event()
        self.ended = anyio.Event()
        self.last_words = ""
        self._errors = errors

    def take_ready(self, pidfd: int) -> None:
        """Take in that it is set up."""
        self.first = pidfd
        self.settled.set()

    def take_end(self, why: str = "") -> None:
        """Take in that nothing of it lives, with the beginning of what it said on stderr, on one line."""
        if not self.ended.is_set():
            said = last_words(read_available(self._errors))
            self.last_words = why or said
            if self.first >= 0:
                os.close(self.first)
                self.first = -1
            self.ended.set()
            self.settled.set()


class Keeper:
    """A running keeper. Made by `start_keeper`; `dead` is set once nothing below it lives."""

    def __init__(self, process: subprocess.Popen[bytes], first: int, control: socket.socket, errors: int) -> None:
        self.dead = anyio.Event()
        self._process = process
        self._first = first
        self._control = control
        self._errors = errors
        self._pid = _pid_of(first)
        self._numbers = itertools.count(1)
        self._started: dict[int, Started] = {}
        self._answers: dict[int, tuple[anyio.Event, list[Any]]] = {}
        self._ending = anyio.Lock()

    def number(self) -> int:
        """Return a new number for `start`."""
        return next(self._numbers)

    async def start(
        self,
        number: int,
        arguments: Sequence[str],
        command: Sequence[str],
        *,
        fds: Sequence[int],
        uid: int = 0,
        mounts: Sequence[int] = (),
        timeout: float = START_TIMEOUT,
    ) -> Started:
        """Start bwrap with these arguments and the command inside; return once that has written something to its stdout.

        fds: descriptors that the arguments name, from FIRST_FD on. mounts: detached mounts, for bwrap at STAGE/NUMBER/0 and on.
        Raises SandboxError with bwrap's own words; cancelling ends it.
        """
        read, write = os.pipe()
        started = self._started[number] = Started(number, read)
        place = FIRST_FD + len(fds)
        try:
            with contextlib.ExitStack() as stack:
                stack.callback(os.close, write)
                memory = memory_file(b"".join(word.encode() + b"\0" for word in ("--info-fd", str(INFO_FD), *arguments)))
                stack.callback(os.close, memory)
                argv = [find_bwrap(), "--args", str(place), "--", *command]
                await self._send(*mounts, write, *fds, memory, t="start", id=number, uid=uid, mounts=len(mounts), argv=argv)
        except BaseException:
            self._started.pop(number, started).take_end("it was not begun")
            raise
        try:
            with anyio.move_on_after(timeout):
                await started.settled.wait()
            if started.first < 0:
                raise SandboxError(f"The sandbox did not start: {started.last_words or 'it took too long'}")
        except BaseException:
            await self.end(started)
            raise
        return started

    async def end(self, started: Started) -> None:
        """Kill what was started and return when nothing of it lives. Cancelling does not cut it short."""
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(END_TIMEOUT), contextlib.suppress(SandboxError):
                if not started.ended.is_set():
                    await self._send(t="end", id=started.number)
                    await started.ended.wait()
            if not started.ended.is_set():
                await self.close()

    def sees(self, paths: Iterable[str]) -> bool:
        """Say whether the keeper finds at absolute, resolved paths what this process finds: it knows no later mounts.

        Under root it need not: this process then hands it the mounts. Where its view can't be looked at it counts as the same.
        """
        if os.geteuid() == 0:
            return True
        try:
            return all(_identity(path) == _identity(f"/proc/{self._pid}/root{path}") for path in paths)
        except PermissionError:
            return True

    async def owner_map(self, uid: int, gid: int, to: int) -> int:
        """Return a user namespace in which the files of an owner belong to the agent's uid `to` of the pool."""
        _, fds = await self._ask(t="map", owner=[uid, gid], to=to)
        return int(fds[0])

    async def show_python(self, path: str, mount: int | None) -> tuple[str, bool]:
        """Show an interpreter's prefix; return the name below the stage, and whether mountinfo will hide where it lies."""
        message, _ = await self._ask(*(() if mount is None else (mount,)), t="python", path=path)
        return f"python-{message['id']}", bool(message["hidden"])

    async def serve(self) -> None:
        """Take in what the keeper reports until it is gone; the pool runs this in its task group. Cancelling ends it."""
        try:
            while True:
                await anyio.wait_readable(self._control)
                data, fds, _, _ = socket.recv_fds(self._control, PACKET, 1)
                if not data:
                    return
                self._take(json.loads(data), fds)
        except OSError:
            return
        finally:
            await self.close()

    def _take(self, message: dict[str, Any], fds: list[int]) -> None:
        """Act on one report."""
        kind, number = message["t"], message["id"]
        if number in self._answers:
            done, answer = self._answers.pop(number)
            answer += [message, fds]
            done.set()
        elif kind == "ready":
            self._started[number].take_ready(fds[0])
        else:
            self._started.pop(number).take_end(message.get("why", ""))

    async def _ask(self, *fds: int, **message: Any) -> tuple[dict[str, Any], list[int]]:
        """Send an order and return its answer. Raise SandboxError when it failed."""
        number = next(self._numbers)
        done, answer = self._answers[number] = (anyio.Event(), [])
        await self._send(*fds, id=number, **message)
        with anyio.CancelScope(shield=True):
            await done.wait()
        if not answer or answer[0]["t"] == "failed":
            raise SandboxError(f"The pool sandbox failed: {answer[0]['why'] if answer else 'it is gone'}.")
        return answer[0], answer[1]

    async def _send(self, *fds: int, **message: Any) -> None:
        """Send one packet, whole."""
        if self.dead.is_set():
            raise SandboxError("The pool sandbox is gone.")
        if len(fds) > MAX_FDS:
            raise SandboxError(f"A sandbox can show {MAX_FDS} places at most.")
        packet = json.dumps(message).encode()
        while True:
            try:
                socket.send_fds(self._control, [packet], list(fds))
                return
            except BlockingIOError:
                await anyio.wait_writable(self._control)
            except OSError as error:
                raise SandboxError("The pool sandbox is gone.") from error

    async def close(self) -> None:
        """Kill the keeper with all below it; return when nothing of that lives. Cancelling does not cut it short.

        The first process of a pid namespace has ended only when the namespace is empty.
        """
        with anyio.CancelScope(shield=True):
            async with self._ending:
                if self._process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        signal.pidfd_send_signal(self._first, signal.SIGKILL)
                    await anyio.wait_readable(self._first)
                    await end_process(self._process)
                    self._control.close()
                    os.close(self._first)
                    os.close(self._errors)
            self.dead.set()
            for started in self._started.values():
                started.take_end()
            self._started.clear()
            for done, _ in self._answers.values():
                done.set()
            self._answers.clear()


async def start_keeper(tasks: TaskGroup, uids: range, shared: Iterable[str] = ()) -> Keeper:
    """Start a pool's keeper and return when it keeps. `tasks` carries its reader until it ends.

    uids: the host uids that are below it under a root gateway. shared: what of the host is not kept out, for self-tests.
    Raises SandboxError with its own words.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read, write = os.pipe()
    through = _user_namespace()
    with theirs, open(write, "wb") as errors:
        process = subprocess.Popen(
            [*through, *PROGRAM, str(theirs.fileno()), *(["user"] if through else []), *shared],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={},
            pass_fds=[theirs.fileno()],
            cwd="/",
        )
    ours.setblocking(False)
    try:
        if not through:
            await _receive(ours)
            _write_maps(process.pid, uids)
            ours.send(b"{}")
        (first,) = (await _receive(ours))[1]
    except (OSError, ValueError, SandboxError) as error:
        await end_process(process)
        ours.close()
        raise SandboxError(f"The pool sandbox did not start: {last_words(read_available(read)) or error}") from error
    except BaseException:
        await end_process(process)
        ours.close()
        os.close(read)
        raise
    keeper = Keeper(process, first, ours, read)
    tasks.start_soon(keeper.serve)
    return keeper


def _pid_of(pidfd: int) -> int:
    """Return the number of a process as this one sees it. Source: the kernel's Documentation/filesystems/proc.rst, fdinfo."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file or directory from every other, None where there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


async def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """Return one packet. Raise SandboxError when none comes."""
    with anyio.move_on_after(START_TIMEOUT):
        await anyio.wait_readable(control)
        data, fds, _, _ = socket.recv_fds(control, PACKET, 1)
        if data:
            return data, fds
    raise SandboxError("it ended or took too long")


def _user_namespace() -> list[str]:
    """Return the command that a keeper is started through, which makes its user namespace; nothing for root, who maps a range.

    An ordinary user leaves that to bwrap too: where AppArmor restricts user namespaces, it is the program that may make them.
    """
    if os.geteuid() == 0:
        return []
    options = ("--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "ALL", "--dev-bind", "/", "/", "--die-with-parent")
    return [find_bwrap(), *options, "--"]


def _write_maps(pid: int, uids: range) -> None:
    """Write the id maps of a root gateway's keeper: a range that belongs to nobody."""
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{name}").write_text(f"0 {uids.start} {len(uids)}", encoding="ascii")


@contextlib.contextmanager
def scratch_namespace(to: int, owner: os.stat_result) -> Iterator[int]:
    """Lend a user namespace in which the files of an owner belong to the host uid `to`, to try whether owners can be mapped.

    Raises OSError, SandboxError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    argv = [*PROGRAM, str(theirs.fileno())]
    with ours, subprocess.Popen(argv, env={}, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL, cwd="/") as process:
        try:
            theirs.close()
            ours.settimeout(START_TIMEOUT)
            if not ours.recv(PACKET):
                raise SandboxError("no user namespace can be made")
            Path(f"/proc/{process.pid}/uid_map").write_text(f"{owner.st_uid} {to} 1", encoding="ascii")
            Path(f"/proc/{process.pid}/gid_map").write_text(f"{owner.st_gid} {to} 1", encoding="ascii")
            with open(f"/proc/{process.pid}/ns/user", "rb") as namespace:
                yield namespace.fileno()
        finally:
            process.kill()


async def end_process(process: subprocess.Popen[bytes]) -> None:
    """Kill a child of ours and reap it. Shielded."""
    with anyio.CancelScope(shield=True):
        pidfd = os.pidfd_open(process.pid)  # a zombie until it is reaped, so the number is still its own
        try:
            process.send_signal(signal.SIGKILL)
            await anyio.wait_readable(pidfd)
        finally:
            os.close(pidfd)
        process.wait()


def read_available(fd: int) -> bytes:
    """Return the beginning of what a pipe holds, and close it."""
    with open(fd, "rb", buffering=0) as pipe:
        return (pipe.read(ERROR_BYTES) or b"") if select.select([fd], [], [], 0)[0] else b""


def memory_file(content: bytes) -> int:
    """Return a descriptor of a memory file at its beginning."""
    fd = os.memfd_create("hermes-iso")
    with open(os.dup(fd), "wb") as file:
        file.write(content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
