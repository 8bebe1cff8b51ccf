"""Fork turns and commands inside one profile's sandbox, each into its own pid namespace, and report when they are gone.

This process was forked from the template into the holder's namespaces. It runs no code of the agent and reads nothing that an
agent wrote; its only channel is the control socket to the host. What it forks confines itself (see confine) before it does
anything else, so the capabilities that this process keeps in the sandbox's user namespace never reach the agent.

Frames from the host, each a JSON object (descriptors come beside them, in order):
  {"t": "configure", "settings": {...}}                      once, first; answered by {"t": "ready"}
                                                             descriptors: cgroup.procs of each group to join
  {"t": "spawn", "id", "kind": "turn", "shared"}             1 descriptor: the turn's socket
  {"t": "spawn", "id", "kind": "command", "argv", "cwd", "env", "shared"}   3 descriptors: stdin, stdout, stderr
  {"t": "spawn", "id", "kind": "usage", "roots", "most_bytes", "most_inodes", "seconds"}   3 descriptors; answers on stdout
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
from hermes_iso_sandbox.guest import bounds, kernel
from hermes_iso_sandbox.guest.confine import Settings, Shared, bound_user_namespace, confine, harden
from hermes_iso_sandbox.guest.init import become_init, hide, reap_until, run_command
from hermes_iso_sandbox.guest.turn import read_env_file, rehearse, serve_turn
from hermes_iso_sandbox.guest.usage import Usage

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
        self._confined: dict[int, socket.socket] = {}
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
        """Join the cgroups, take the settings, give up what turns do not need either, and freeze what every fork will share."""
        bounds.join(self._fds)
        self._fds.clear()
        env_file = settings.pop("env_file")
        env = settings.pop("env")
        self._settings = Settings(**settings, own_env=read_env_file(env_file))
        os.environ.update(env)
        if not {"capabilities", "proc"} & set(self._settings.without):
            _in_child(bound_user_namespace)
        harden(self._settings.without)
        gc.freeze()
        self._send(t="ready")

    def _on_spawn(self, id: int, kind: str, shared: int = 0, **command: Any) -> None:  # noqa: A002  # the frame's key
        """Fork a turn or a command into a new pid namespace."""
        fds = [self._fds.popleft() for _ in range(1 if kind == "turn" else 3)]
        assert self._settings is not None
        if "pid" not in self._settings.without:
            kernel.unshare(kernel.CLONE_NEWPID)
        self._confined[id], done = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self._become(kind, fds, self._shared.get(shared), command, done)
        kernel.setns(self._own_pid_namespace, kernel.CLONE_NEWPID)
        done.close()
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._pids[id] = pid
        self._pidfds[pidfd] = id
        self._poll.register(pidfd, select.POLLIN)

    def _become(self, kind: str, fds: list[int], shared: Shared | None, command: dict[str, Any], done: socket.socket) -> None:
        """Be pid 1 of what was asked for: fork the worker at once, and reap until it ends. Never returns.

        The worker confines itself, so that this process touches as little memory as it can.
        """
        status = 125
        assert self._settings is not None
        try:
            if "init" not in self._settings.without:
                # A signal to a group asks for the uid, not for the pid namespace: this one's has the zygote in it.
                os.setpgid(0, 0)
                hide()
            worker = os.fork()
            if worker == 0:
                self._work(kind, fds, shared, command, done)
            become_init(keep="descriptors" in self._settings.without)
            status = reap_until(worker)
        finally:
            os._exit(status)

    def _work(self, kind: str, fds: list[int], shared: Shared | None, command: dict[str, Any], done: socket.socket) -> None:
        """Confine this process, then do the work of a turn or become the command. Never returns."""
        status = 125
        try:
            assert self._settings is not None
            usage = Usage(**command) if kind == "usage" else None
            if usage:
                usage.add_held_open()
            confine(self._settings, shared)
            _tell_namespaces(done)
            _place_fds(kind, fds, keep="descriptors" in self._settings.without)
            if usage:
                usage.report(1)
                status = 0
            elif kind == "turn":
                signal.signal(signal.SIGINT, signal.default_int_handler)
                rehearse()
                gc.enable()
                settings = self._settings
                serve_turn(socket.socket(fileno=TURN_FD), settings.cwd, settings.own_env, settings.writable)
                status = 0
            else:
                env = {**os.environ, **self._settings.own_env, **command["env"]}
                run_command(command["argv"], command["cwd"] or self._settings.cwd, env, execute=self._settings.execute)
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
        confined = self._confined.get(id)
        if confined is not None:
            _, fds, _, _ = socket.recv_fds(confined, 1, 2)
            if len(fds) == 2:
                self._shared[shared] = Shared(*fds)
        self._send(t="shared", shared=shared, ok=shared in self._shared)

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
        self._confined.pop(number).close()
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


def _tell_namespaces(done: socket.socket) -> None:
    """Hand the zygote the namespaces that this process made for itself, for a session's background processes."""
    fds = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("net", "mnt")]
    socket.send_fds(done, [b"x"], fds)


def _place_fds(kind: str, fds: list[int], *, keep: bool = False) -> None:
    """Put /dev/null or the command's own streams on 0 to 2, a turn's socket on 3, and close everything else unless `keep`."""
    null = os.open("/dev/null", os.O_RDWR)
    wanted = [null, null, null, *fds] if kind == "turn" else fds
    high = [os.dup2(fd, 64 + place) for place, fd in enumerate(wanted)]
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=place != TURN_FD)
    if not keep:
        os.closerange(len(wanted), 1 << 16)
