"""Fork turns and commands inside one profile's sandbox, each into its own pid namespace, and report when they are gone.

This process was forked from the template into the holder's namespaces. It runs no code of the agent and reads nothing that an
agent wrote; its only channel is the control socket to the host. What it forks confines itself (see confine) before it does
anything else, so the capabilities that this process keeps in the sandbox's user namespace never reach the agent.

Frames from the host, each a JSON object (descriptors come beside them, in order):
  {"t": "configure", "settings": {...}}                      once, first; answered by {"t": "ready"}
  {"t": "spawn", "id", "kind": "turn", "shared"}             1 descriptor: the turn's socket
  {"t": "spawn", "id", "kind": "command", "argv", "cwd", "env", "shared"}   3 descriptors: stdin, stdout, stderr; where there
                                                             are doors, a 4th: the socket to hand its own over
  {"t": "spawn", "id", "kind": "usage", "roots", "most_bytes", "most_inodes", "seconds"}   3 descriptors; answers on stdout
  {"t": "kill", "id"}                                        end it and all that it started
  {"t": "share", "id", "shared"}                             keep the namespaces of turn `id` under the number `shared`
  {"t": "unshare", "shared"}                                 let them go
To the host: {"t": "ready"}, {"t": "exited", "id", "status"} (its pid namespace is empty), {"t": "shared", "shared", "ok"}.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
from collections import deque
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest import bounds, kernel
from hermes_iso_sandbox.guest.confine import Kernel, Settings, Shared, bound_user_namespace, confine, harden, look_at_kernel
from hermes_iso_sandbox.guest.door import open_door
from hermes_iso_sandbox.guest.init import become_init, hide, reap_until, run_command
from hermes_iso_sandbox.guest.turn import await_turn, read_env_file, rehearse
from hermes_iso_sandbox.guest.usage import Usage

TURN_FD = 3
MAX_FDS = 16
SHARE_TIMEOUT = 2.0


class Zygote:
    """The zygote's whole state: what it has forked, and the namespaces that it keeps for sessions."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._reader = wire.FrameReader()
        self._fds: deque[int] = deque()
        self._pids: dict[int, int] = {}
        self._confined: dict[int, int] = {}
        self._pidfds: dict[int, int] = {}
        self._kernel: Kernel | None = None
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
        """Take the settings, give up what turns do not need either, and freeze what every fork will share."""
        bounds.step_back()
        env_file = settings.pop("env_file")
        env = settings.pop("env")
        self._settings = Settings(**settings, own_env=read_env_file(env_file))
        os.environ.update(env)
        if not {"capabilities", "proc"} & set(self._settings.without):
            bound_user_namespace()
        self._kernel = look_at_kernel()
        harden(self._settings.without)
        gc.freeze()
        self._send(t="ready")

    def _on_spawn(self, id: int, kind: str, shared: int = 0, **command: Any) -> None:  # noqa: A002  # the frame's key
        """Fork a turn or a command into a new pid namespace."""
        assert self._settings is not None
        turn, settings = kind == "turn", self._settings
        count = 1 + settings.keep_stderr if turn else 3 + (kind == "command" and settings.door)
        fds = [self._fds.popleft() for _ in range(count)]
        if "pid" not in self._settings.without:
            kernel.unshare(kernel.CLONE_NEWPID)
        confined = self._confined[id] = os.eventfd(0)
        pid = os.fork()
        if pid == 0:
            self._become(kind, fds, self._shared.get(shared), {**command, "confined": confined})
        kernel.setns(self._own_pid_namespace, kernel.CLONE_NEWPID)
        for fd in fds:
            os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._pids[id] = pid
        self._pidfds[pidfd] = id
        self._poll.register(pidfd, select.POLLIN)

    def _become(self, kind: str, fds: list[int], shared: Shared | None, command: dict[str, Any]) -> None:
        """Be pid 1 of what was asked for. Never returns.

        A turn is that itself: one process less to fork, to hold and to end for each. A command gets an init before it, because
        programs do not expect to be pid 1, which ignores signals and inherits every orphan.
        """
        status = 125
        assert self._settings is not None
        try:
            whole = "init" not in self._settings.without
            if whole:  # a signal to a group asks for the uid, not for the pid namespace: this one's has the zygote in it
                os.setpgid(0, 0)
            if kind == "command":
                if whole:
                    hide()
                if (worker := os.fork()) != 0:
                    become_init(keep="descriptors" in self._settings.without)
                    status = reap_until(worker)
                    return
            self._work(kind, fds, shared, command)
            status = 0
        finally:
            os._exit(status)

    def _work(self, kind: str, fds: list[int], shared: Shared | None, command: dict[str, Any]) -> None:
        """Confine this process, then do the work of a turn, count, or become the command."""
        settings = self._settings
        assert settings is not None
        confined = command.pop("confined")
        usage = Usage(**command) if kind == "usage" else None
        if usage:
            usage.add_held_open()
        assert self._kernel is not None
        confine(settings, self._kernel, shared)
        os.eventfd_write(confined, 1)
        proxies = _open_door(kind, fds, beside=shared is not None) if settings.door else {}
        _place_fds(kind, fds, keep="descriptors" in settings.without)
        if usage:
            usage.report(1)
        elif kind == "turn":
            signal.signal(signal.SIGINT, signal.default_int_handler)
            rehearse()
            gc.enable()
            await_turn(socket.socket(fileno=TURN_FD), settings, proxies)
        else:
            env = {**os.environ, **settings.own_env, **proxies, **command["env"]}
            run_command(command["argv"], command["cwd"] or settings.cwd, env, execute=settings.execute)

    def _on_kill(self, id: int) -> None:  # noqa: A002  # the frame's key
        """End what was forked under `id`, if it still lives."""
        if id in self._pids:
            os.kill(self._pids[id], signal.SIGKILL)

    def _on_share(self, id: int, shared: int) -> None:  # noqa: A002  # the frame's key
        """Keep the network and mount namespace of a living turn, for the background processes of its session.

        Until the turn has confined itself its namespaces are not what they will be, so that is waited for. Who asks has a turn
        that was forked a while ago, and there is hardly ever anything to wait for.
        """
        if id in self._pids and select.select([self._confined[id]], [], [], SHARE_TIMEOUT)[0]:
            with contextlib.suppress(OSError):
                self._shared[shared] = _namespaces_of(self._pids[id])
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
        os.close(self._confined.pop(number))
        _, status = os.waitpid(self._pids.pop(number), 0)
        code = os.waitstatus_to_exitcode(status)
        self._send(t="exited", id=number, status=code if code >= 0 else 128 - code)


def _namespaces_of(turn: int) -> Shared:
    """Open the namespaces of a turn. Raises OSError when it is gone."""
    net = os.open(f"/proc/{turn}/ns/net", os.O_RDONLY)
    try:
        return Shared(net, os.open(f"/proc/{turn}/ns/mnt", os.O_RDONLY))
    except OSError:
        os.close(net)
        raise


def _open_door(kind: str, fds: list[int], *, beside: bool) -> dict[str, str]:
    """Hand a listener over on a turn's socket, or on a command's last descriptor; return what the environment says of it.

    beside: it shares a network namespace with the turns of its session; a command leaves the usual port to them.
    """
    if kind == "usage":
        return {}
    with socket.socket(fileno=os.dup(fds[0]) if kind == "turn" else fds.pop()) as channel:
        return open_door(channel, 0) if beside and kind == "command" else open_door(channel)


def _place_fds(kind: str, fds: list[int], *, keep: bool = False) -> None:
    """Put /dev/null or the command's own streams on 0 to 2, a turn's socket on 3, and close everything else unless `keep`.

    A turn whose stderr is kept has that after its socket.
    """
    null = os.open("/dev/null", os.O_RDWR)
    wanted = [null, null, *(fds[1:] or [null]), fds[0]] if kind == "turn" else fds
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 64) for fd in wanted]  # the lowest that is free: none that is still wanted
    for place, fd in enumerate(high):
        os.dup2(fd, place, inheritable=place != TURN_FD)
    if not keep:
        os.closerange(len(wanted), 1 << 16)
