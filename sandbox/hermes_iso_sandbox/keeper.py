"""Keep the pool sandbox: a program of its own, below which every template and every holder lives and dies.

It is run as `python -I -S -B keeper.py CONTROL_FD [SHARED...]` by the gateway's own user, and first moves into namespaces of
its own. In its user namespace it is uid 0, which on the host is the gateway's user or, under a root gateway, the first uid of
a range that belongs to nobody: host uid 0 exists nowhere below. Its mount namespace is a copy of the host's, so that it can
show a holder any path that the gateway's user can reach, also one that a later config names. It runs no code of an agent and
reads nothing that an agent wrote: its one channel is the control socket, and what it starts is bwrap.

Each packet on the control socket is one JSON object, with descriptors beside it.
From the host: {"t": "maps"}              the id maps of its user namespace are written
  {"t": "start", "id", "uid", "mounts": N, "argv"}   start bwrap: N detached mounts for STAGE/ID/0.. and then its descriptors:
                                          ERRORS_FD for what it says, INFO_FD is made here, FIRST_FD and on
  {"t": "end", "id"}                      kill what was started and all that it holds
  {"t": "map", "id", "owner": [UID, GID], "to"}      make a user namespace that maps these to the uid and gid `to`
  {"t": "python", "id", "path"}           show an interpreter's prefix, or the detached mount beside it, at STAGE/python-ID
To the host: {"t": "unshared"}, {"t": "keeping"} with a pidfd of this process, {"t": "ready", "id"} with a pidfd of the first
  process inside, once that has written something to its stdout, {"t": "ended", "id", "status"} once nothing of it lives,
  {"t": "mapped", "id"} with the namespace, {"t": "shown", "id", "hidden"}, {"t": "failed", "id", "why"}.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

STAGE = "/sys"
"""Where detached mounts are placed for bwrap to find; no config may name a path below it."""
HOST_PROC = f"{STAGE}/proc"
"""The host's /proc, in a self-test that shares it."""
ERRORS_FD, INFO_FD, FIRST_FD = 10, 11, 12
"""The descriptors that bwrap gets: for what it says, for its first process' number, and the first of the host's own."""
PACKET = 1 << 16
MAX_FDS = 200

CLONE_NEWUSER = 0x10000000
CLONE_OTHERS = 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000 | 0x04000000 | 0x02000000  # mnt, pid, net, ipc, uts, cgroup
CLONE_SHARED = {"net": 0x40000000, "ipc": 0x08000000}
"""What the self-test of `prove` may share with the host, and else nobody: to show that its probes would see it."""
AT_FDCWD = -100
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MNT_DETACH = 2
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_BIND_RECURSIVE, MS_PRIVATE_RECURSIVE = 0x1000, 0x1000 | 0x4000, 0x40000 | 0x4000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
SYS_MOVE_MOUNT = 429

libc = ctypes.CDLL(None, use_errno=True)


def call(what: str, result: int) -> None:
    """Raise a failed call's errno with what was being done."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str | None = None, flags: int = 0, data: str | None = None) -> None:
    """Mount, with the system call's own arguments."""
    words = [None if word is None else word.encode() for word in (source, target, kind, data)]
    call(f"mount {target}", libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]))


class Started:
    """One bwrap: its pid and pidfd, what it tells, and a pidfd of the first process that it made.

    stdin is a pipe whose other end is here: with this process gone, whoever reads it ends.
    """

    def __init__(self, argv: list[str], uid: int, fds: list[int]) -> None:
        life, self.stdin = os.pipe()
        self.stdout, ready = os.pipe()
        self.info, info = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            become(argv, uid, [life, ready], [fds[0], info, *fds[1:]])
        for fd in (life, ready, info):
            os.close(fd)
        for fd in (self.info, self.stdout):
            os.set_blocking(fd, False)
        self.first = -1
        self._said = b""
        self._doomed = False

    def read_info(self) -> bool:
        """Take in what bwrap tells about its first process, and return whether that is all: it may come in pieces."""
        with contextlib.suppress(BlockingIOError):
            piece = os.read(self.info, 1 << 12)
            self._said += piece
            with contextlib.suppress(ValueError, KeyError, ProcessLookupError):
                self.first = os.pidfd_open(json.loads(self._said)["child-pid"])
                if self._doomed:
                    self.kill()
            return self.first >= 0 or not piece
        return False

    def kill(self) -> None:
        """Kill the first process, as soon as it is known. Without bwrap, which tells it, it would wait for ever."""
        self._doomed = True
        if self.first >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.first, signal.SIGKILL)

    def close(self) -> None:
        """Let its descriptors go."""
        for fd in (self.stdin, self.stdout, self.info, self.first):
            if fd >= 0:
                os.close(fd)


class Keeper:
    """The keeper's state: what it has started, by number, and what to do when a descriptor is readable."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._started: dict[int, Started] = {}
        self._waiting: dict[int, Callable[[], None]] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        woken, wakes = os.pipe()
        for fd in (woken, wakes):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._when(woken, partial(self._reap, woken))

    def serve(self) -> None:
        """Obey until the host hangs up; everything below ends with this process."""
        while True:
            for fd, _ in self._poll.poll():
                if (action := self._waiting.get(fd)) is not None:
                    action()
                elif fd == self._control.fileno() and not self._obey():
                    return

    def send(self, *fds: int, **message: Any) -> None:
        """Tell the host something, with descriptors beside it."""
        socket.send_fds(self._control, [json.dumps(message).encode()], list(fds))

    def _obey(self) -> bool:
        """Read and obey one packet; False at the end of the stream."""
        data, fds, _, _ = socket.recv_fds(self._control, PACKET, MAX_FDS)
        if not data:
            return False
        message = json.loads(data)
        try:
            getattr(self, "_on_" + message.pop("t"))(fds, **message)
        except OSError as error:
            self.send(t="failed", id=message["id"], why=error.strerror or str(error))
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _when(self, fd: int, action: Callable[[], None]) -> None:
        """Do something when a descriptor is readable."""
        self._waiting[fd] = action
        self._poll.register(fd, select.POLLIN)

    def _forget(self, fd: int) -> None:
        """Wait for a descriptor no more."""
        if self._waiting.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def _on_start(self, fds: list[int], id: int, uid: int, mounts: int, argv: list[str]) -> None:  # noqa: A002  # the packet's key
        """Start bwrap as `uid`, and watch it."""
        try:
            place_mounts(f"{STAGE}/{id}", fds[:mounts])
            started = self._started[id] = Started(argv, uid, fds[mounts:])
        except OSError:
            clear_stage(f"{STAGE}/{id}")
            raise
        self._when(started.info, partial(self._informed, started))
        self._when(started.stdout, partial(self._ready, id, started))

    def _informed(self, started: Started) -> None:
        """Learn the first process."""
        if started.info in self._waiting and started.read_info():
            self._forget(started.info)

    def _ready(self, number: int, started: Started) -> None:
        """Report that what was started is set up; its mounts are its own by now."""
        self._informed(started)  # bwrap has said it by now
        self._forget(started.stdout)
        with contextlib.suppress(BlockingIOError):
            if os.read(started.stdout, 1) and started.first >= 0:
                clear_stage(f"{STAGE}/{number}")
                self.send(started.first, t="ready", id=number)

    def _reap(self, woken: int) -> None:
        """Reap whatever has ended: bwraps, and what a template forked, which this process inherits.

        An entered process counts among its pid namespace's until it is reaped, so the holder would wait for it in vain.
        """
        os.read(woken, 1 << 12)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                for number, started in self._started.items():
                    if started.pid == ended[0]:
                        self._report_end(number, started, os.waitstatus_to_exitcode(ended[1]))
                        break

    def _report_end(self, number: int, started: Started, status: int) -> None:
        """Report that nothing of what was started lives: bwrap ends after its first process, and that after all others."""
        for fd in (started.info, started.stdout):
            self._forget(fd)
        del self._started[number]
        started.close()
        clear_stage(f"{STAGE}/{number}")
        self.send(t="ended", id=number, status=status)

    def _on_end(self, fds: list[int], id: int) -> None:  # noqa: A002, ARG002  # the packet's key
        """Kill what was started, if it still lives."""
        if id in self._started:
            self._started[id].kill()

    def _on_map(self, fds: list[int], id: int, owner: list[int], to: int) -> None:  # noqa: A002, ARG002  # the packet's key
        """Make a user namespace for an id-mapped mount: what `owner` owns on disk belongs to uid and gid `to` in it."""
        fd = user_namespace(f"{owner[0]} {to} 1", f"{owner[1]} {to} 1")
        self.send(fd, t="mapped", id=id)
        os.close(fd)

    def _on_python(self, fds: list[int], id: int, path: str) -> None:  # noqa: A002  # the packet's key
        """Show an interpreter through an overlay: mountinfo names the source of a plain bind, but only `.` of this one."""
        target, source, empty = (f"{STAGE}/{name}-{id}" for name in ("python", "source", "empty"))
        for place in (target, source, empty):
            os.mkdir(place)
        if fds:
            attach(fds[0], source)
        os.chdir(source if fds else path)  # noqa: TID251  # this process has no other use for it
        try:
            mount("overlay", target, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, f"lowerdir=.:{empty}")
            hidden = True
        except OSError:
            mount(".", target, None, MS_BIND)
            hidden = False
        os.chdir("/")  # noqa: TID251
        self.send(t="shown", id=id, hidden=hidden)


def attach(fd: int, target: str) -> None:
    """Attach a detached mount."""
    call(f"place {target}", libc.syscall(SYS_MOVE_MOUNT, fd, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH))


def place_mounts(directory: str, fds: list[int]) -> None:
    """Attach detached mounts as the numbered entries of a new directory."""
    os.mkdir(directory)
    for number, fd in enumerate(fds):
        target = f"{directory}/{number}"
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        attach(fd, target)


def clear_stage(directory: str) -> None:
    """Let go of the mounts in a directory of the stage: with many of them, every new mount namespace would copy them all."""
    if os.path.isdir(directory):
        for entry in os.scandir(directory):
            libc.umount2(entry.path.encode(), MNT_DETACH)
            (os.rmdir if entry.is_dir() else os.unlink)(entry.path)
        os.rmdir(directory)


def become(argv: list[str], uid: int, stdio: list[int], fds: list[int]) -> None:
    """Become bwrap as `uid`, with these on stdin and stdout and from ERRORS_FD on, and nothing else. Never returns."""
    try:
        targets = [0, 1, *range(ERRORS_FD, ERRORS_FD + len(fds))]
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, targets[-1] + 1) for fd in (*stdio, *fds)]
        for fd, target in zip(high, targets, strict=True):
            os.dup2(fd, target)
        os.dup2(ERRORS_FD, 2)
        os.closerange(3, ERRORS_FD)
        os.closerange(targets[-1] + 1, 1 << 20)
        if uid:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        os.execve(argv[0], argv, {})  # noqa: S606  # becoming bwrap is the point
    finally:
        os._exit(127)


def user_namespace(uid_map: str, gid_map: str) -> int:
    """Return a descriptor of a new user namespace with these maps (lines of `inside outside count`)."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            call("unshare", libc.unshare(CLONE_NEWUSER))
            call("prctl", libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))  # else its maps can't be written
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            status = 0
        finally:
            os._exit(status)
    os.close(ready[1])
    try:
        if os.read(ready[0], 1) != b"x":
            raise OSError("no user namespace can be made")
        for name, text in (("uid_map", uid_map), ("gid_map", gid_map)):
            with open(f"/proc/{pid}/{name}", "wb") as file:
                file.write(text.encode())
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.write(go[1], b"x")
        for fd in (ready[0], *go):
            os.close(fd)
        os.waitpid(pid, 0)


def enter(control: socket.socket, shared: list[str]) -> None:
    """Become uid 0 of a user namespace, where bwrap has not seen to that, and make namespaces of every other kind there."""
    parent = os.getppid()
    if "user" not in shared:
        enter_user_namespace(control)
    call("make namespaces", libc.unshare(CLONE_OTHERS & ~sum(CLONE_SHARED.get(name, 0) for name in shared)))
    die_with(parent)


def enter_user_namespace(control: socket.socket) -> None:
    """Move into a user namespace whose maps the host writes: only root can map a range."""
    os.setgroups([])
    call("make a user namespace", libc.unshare(CLONE_NEWUSER))
    call("prctl", libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))  # else the host may not write the maps
    control.send(b'{"t": "unshared"}')
    if not control.recv(PACKET):
        sys.exit(1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent is gone; end at once when it is gone already."""
    call("prctl", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        sys.exit(1)


def compose(shared: list[str]) -> None:
    """Make this mount namespace private, give it a /proc of its own pid namespace, and make room for the stage."""
    mount("none", "/", None, MS_PRIVATE_RECURSIVE)
    mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    if "proc" in shared:
        os.mkdir(HOST_PROC)
        mount("/proc", HOST_PROC, None, MS_BIND_RECURSIVE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def main(control_fd: int, shared: list[str]) -> None:
    """Be the outer process, which only waits, and inside of it the keeper, pid 1 of the pool."""
    control = socket.socket(fileno=control_fd)
    enter(control, shared)
    pid = os.fork()
    if pid:
        control.close()
        os.waitpid(pid, 0)
        return
    call("prctl", libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    compose(shared)
    keeper = Keeper(control)
    keeper.send(os.pidfd_open(os.getpid()), t="keeping")
    keeper.serve()


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), sys.argv[2:])
    except OSError as error:
        sys.exit(f"the pool sandbox can't be made: {error.strerror or error}")
