"""Fork turns and commands inside one profile's sandbox, each into its own pid namespace, and report when they are gone.

This process is pid 1 of the sandbox. It runs no code of the agent and reads nothing that an agent wrote; its only
channel is the control socket to the host. What it forks confines itself (see confine) before it does anything else, so the
capabilities that this process keeps in the sandbox's user namespace never reach the agent.

Frames from the host, each a JSON object (descriptors come beside them, in order):
  {"t": "configure", "settings": {...}}                      once, first; answered by {"t": "ready"}
  {"t": "spawn", "id", "kind": "turn", "shared"}             1 descriptor: the turn's socket
  {"t": "spawn", "id", "kind": "command", "argv", "cwd", "env", "shared"}   3 descriptors: stdin, stdout, stderr
  {"t": "kill", "id"}                                        end it and all that it started
  {"t": "share", "id", "shared"}                             keep the namespaces of turn `id` under the number `shared`
  {"t": "unshare", "shared"}                                 let them go
To the host: {"t": "ready"}, {"t": "exited", "id", "status"} (its pid namespace is empty), {"t": "shared", "shared", "ok"}.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from collections import deque
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest import kernel
from hermes_iso_sandbox.guest.confine import Settings, Shared, confine, forbid_user_namespaces
from hermes_iso_sandbox.guest.init import reap_until, run_command
from hermes_iso_sandbox.guest.turn import read_env_file, serve_turn

TURN_FD = 3
MAX_FDS = 16


class Zygote:
    """The zygote's whole state: what it has forked, and the namespaces that it keeps for sessions."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = wire.FrameReader()
        self._fds: deque[int] = deque()
        self._pids: dict[int, int] = {}
        self._pidfds: dict[int, int] = {}
        self._confined: dict[int, int] = {}
        self._shared: dict[int, Shared] = {}
        self._settings: Settings | None = None
        self._own_pid_namespace = os.open("/proc/self/ns/pid", os.O_RDONLY)
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Serve until the host closes the control socket; then everything of this sandbox ends with this process."""
        while True:
            for fd, _ in self._poll.poll():
                if fd in self._pidfds:
                    self._report(fd)
                elif not self._take_frames():
                    return

    def _take_frames(self) -> bool:
        """Read and obey what the host sent; False at the end of the stream."""
        data, fds, _, _ = socket.recv_fds(self._control, 1 << 16, MAX_FDS)
        self._fds.extend(fds)
        if not data:
            return False
        for body in self._reader.feed(data):
            message = wire.decode_object(body)
            getattr(self, "_on_" + message.pop("t"))(**message)
        return True

    def _send(self, **message: Any) -> None:
        """Tell the host something."""
        self._control.sendall(wire.encode_object(message))

    def _on_configure(self, settings: dict[str, Any]) -> None:
        """Take the settings, forbid further user namespaces, and freeze what every fork will share."""
        self._settings = Settings(**settings)
        if not {"capabilities", "proc"} & set(self._settings.without):
            _in_child(forbid_user_namespaces)
        gc.collect()
        gc.freeze()
        self._send(t="ready")

    def _on_spawn(self, id: int, kind: str, shared: int = 0, **command: Any) -> None:  # noqa: A002  # the frame's key
        """Fork a turn or a command into a new pid namespace."""
        fds = [self._fds.popleft() for _ in range(1 if kind == "turn" else 3)]
        assert self._settings is not None
        if "pid" not in self._settings.without:
            kernel.unshare(kernel.CLONE_NEWPID)
        self._confined[id], done = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become(kind, fds, self._shared.get(shared), command, done)
        kernel.setns(self._own_pid_namespace, kernel.CLONE_NEWPID)
        for fd in (*fds, done):
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._pids[id] = pid
        self._pidfds[pidfd] = id
        self._poll.register(pidfd, select.POLLIN)

    def _become(self, kind: str, fds: list[int], shared: Shared | None, command: dict[str, Any], done: int) -> None:
        """Be pid 1 of what was asked for: confine, fork the worker, reap until it ends. Never returns."""
        status = 125
        try:
            assert self._settings is not None
            confine(self._settings, shared)
            os.write(done, b"x")
            _place_fds(kind, fds, keep="descriptors" in self._settings.without)
            worker = os.fork()
            if worker == 0:
                self._work(kind, command)
            os.closerange(0, TURN_FD + 1)
            status = reap_until(worker)
        finally:
            os._exit(status)

    def _work(self, kind: str, command: dict[str, Any]) -> None:
        """Do the work of a turn or become the command. Never returns."""
        status = 125
        try:
            assert self._settings is not None
            if kind == "turn":
                signal.signal(signal.SIGINT, signal.default_int_handler)
                gc.enable()
                serve_turn(socket.socket(fileno=TURN_FD), self._settings.cwd, self._settings.env_file)
                status = 0
            else:
                env = {**os.environ, **read_env_file(self._settings.env_file), **command["env"]}
                run_command(command["argv"], command["cwd"] or self._settings.cwd, env)
        finally:
            os._exit(status)

    def _on_kill(self, id: int) -> None:  # noqa: A002  # the frame's key
        """End what was forked under `id`, if it still lives."""
        if id in self._pids:
            os.kill(self._pids[id], signal.SIGKILL)

    def _on_share(self, id: int, shared: int) -> None:  # noqa: A002  # the frame's key
        """Keep the network and mount namespace of a living turn, for the background processes of its session.

        Until the turn has confined itself its namespaces are this process's own, which nobody may share.
        """
        opened: list[int] = []
        try:
            if not self._is_confined(id):
                raise ProcessLookupError
            opened.extend(os.open(f"/proc/{self._pids[id]}/ns/{name}", os.O_RDONLY) for name in ("net", "mnt"))
            self._shared[shared] = Shared(*opened)
        except (OSError, KeyError):
            for fd in opened:
                os.close(fd)
        self._send(t="shared", shared=shared, ok=shared in self._shared)

    def _is_confined(self, id: int) -> bool:  # noqa: A002  # the frame's key
        """Wait until a turn has confined itself; False when it died instead."""
        fd = self._confined[id]
        if fd >= 0 and os.read(fd, 1) == b"x":
            os.close(fd)
            self._confined[id] = -1
        return self._confined[id] < 0

    def _on_unshare(self, shared: int) -> None:
        """Let a session's namespaces go."""
        kept = self._shared.pop(shared, None)
        if kept is not None:
            os.close(kept.net)
            os.close(kept.mnt)

    def _report(self, pidfd: int) -> None:
        """Reap what has ended and tell the host: when this returns its pid namespace is empty."""
        number = self._pidfds.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        if (fd := self._confined.pop(number)) >= 0:
            os.close(fd)
        _, status = os.waitpid(self._pids.pop(number), 0)
        code = os.waitstatus_to_exitcode(status)
        self._send(t="exited", id=number, status=code if code >= 0 else 128 - code)


def _in_child(function: Any) -> None:
    """Run a function in a process of its own and wait for it; raise OSError when it failed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status:
        raise OSError(f"{function.__name__} failed")


def _place_fds(kind: str, fds: list[int], *, keep: bool = False) -> None:
    """Put /dev/null or the command's own streams on 0 to 2, a turn's socket on 3, and close everything else unless `keep`."""
    null = os.open("/dev/null", os.O_RDWR)
    wanted = [null, null, null, *fds] if kind == "turn" else fds
    high = [os.dup2(fd, 64 + place) for place, fd in enumerate(wanted)]
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=place != TURN_FD)
    if not keep:
        os.closerange(len(wanted), 1 << 16)


def main(control_fd: int) -> None:
    """Be the zygote on the control socket that the host left open at `control_fd`."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(control_fd, False)
    Zygote(socket.socket(fileno=control_fd)).serve()
