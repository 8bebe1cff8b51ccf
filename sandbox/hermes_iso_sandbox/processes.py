"""Background processes: what a turn asked to keep running after it, one set per session.

A turn's own children die with the turn, so the gateway starts these beside it: each in a pid and mount namespace of its own, in
the network namespace and on the /tmp of its session, which live as long as such a process does. Output arrives by a pipe and is
kept here, bounded; nothing is read from a path that an agent can write.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from hermes_iso_sandbox.door import ServeDoor, beside_door
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.zygote import Forked, Zygote

OUTPUT_BYTES = 200_000
MAX_LIVE = 8
MAX_KEPT = 32
WRITE_TIMEOUT = 5.0
READ_SIZE = 1 << 16
READ_PAUSE = 0.02


class Process:
    """One background process. `started_at` is Unix time; `exit_status` is None while it lives, else as a shell shows it."""

    def __init__(self, zygote: Zygote, command: str, cwd: str, stdin: int) -> None:
        self.id = f"proc_{secrets.token_hex(6)}"
        self.command = command
        self.cwd = cwd
        self.started_at = time.time()
        self.total_output = 0
        self.exit_status: int | None = None
        self._output = bytearray()
        self._zygote = zygote
        self._stdin = stdin
        self._writing = anyio.Lock()
        self._ended = anyio.Event()
        self._forked: Forked | None = None

    @property
    def output(self) -> bytes:
        """Return the last OUTPUT_BYTES that it wrote to stdout and stderr."""
        return bytes(self._output)

    async def wait(self) -> None:
        """Wait until it has ended and all its output is here."""
        await self._ended.wait()

    async def kill(self) -> None:
        """End it and everything that it started."""
        if self._forked is not None:
            await self._zygote.kill(self._forked)
            await self._ended.wait()

    async def write(self, data: bytes) -> None:
        """Write to its stdin. Raise SandboxError when it has ended, closed its stdin, or does not read in time."""
        async with self._writing:
            with anyio.move_on_after(WRITE_TIMEOUT):
                while data and self._stdin >= 0:
                    try:
                        data = data[os.write(self._stdin, data) :]
                    except BlockingIOError:
                        await anyio.wait_writable(self._stdin)
                    except BrokenPipeError:
                        break
            if data:
                raise SandboxError(f"Process {self.id} does not read its input.")

    async def serve(self, forked: Forked, output: int, timeout: float) -> None:
        """Collect output until it ends or its time is up. Cancelling kills it."""
        self._forked = forked
        try:
            with anyio.move_on_after(timeout):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._collect, output)
                    await forked.gone.wait()
        finally:
            await self._zygote.kill(forked)
            self._drain(output)
            os.close(output)
            stdin, self._stdin = self._stdin, -1
            os.close(stdin)
            self.exit_status = 137 if forked.status is None else forked.status
            self._ended.set()

    async def _collect(self, output: int) -> None:
        """Read the output pipe as it fills, until every writer is gone."""
        while True:
            await anyio.wait_readable(output)
            before = self.total_output
            if not self._take(output):
                return
            if self.total_output - before > READ_SIZE // 2:
                await anyio.sleep(READ_PAUSE)  # a full pipe holds up a process that prints without end

    def _drain(self, output: int) -> None:
        """Take what a process that is gone has left in the pipe."""
        with contextlib.suppress(BlockingIOError):
            while self._take(output):
                pass

    def _take(self, output: int) -> bool:
        """Keep one read's worth of output; False at the end."""
        data = os.read(output, READ_SIZE)
        self.total_output += len(data)
        self._output += data
        del self._output[:-OUTPUT_BYTES]
        return bool(data)


class Session:
    """What one session keeps in one sandbox: its background processes and, while one lives, their namespaces.

    leases: how many turns of it hold this value now.
    """

    def __init__(self, zygote: Zygote, tasks: TaskGroup, serve_door: ServeDoor) -> None:
        self.shared = 0
        self.leases = 0
        self.processes: dict[str, Process] = {}
        self._zygote = zygote
        self._tasks = tasks
        self._serve_door = serve_door
        self._starting = anyio.Lock()

    @property
    def live(self) -> int:
        """Return how many of its processes live."""
        return sum(process.exit_status is None for process in self.processes.values())

    async def start(self, turn: Forked, command: str, cwd: str | None, env: Mapping[str, str]) -> Process:
        """Start a command beside a living turn, in the turn's network namespace and on its /tmp."""
        async with self._starting:
            if self.live >= MAX_LIVE:
                raise SandboxError(f"This session already has {MAX_LIVE} background processes: end one first.")
            if not self.shared:
                self.shared = await self._zygote.share(turn)
            return await self._fork(command, cwd, env)

    async def _fork(self, command: str, cwd: str | None, env: Mapping[str, str]) -> Process:
        """Fork the command on pipes of its own and collect from them in the background."""
        stdin_read, stdin_write = os.pipe()
        output_read, output_write = os.pipe()
        os.set_blocking(stdin_write, False)
        os.set_blocking(output_read, False)
        process = Process(self._zygote, command, cwd or self._zygote.confinement.cwd, stdin_write)
        try:
            forked, channel = await self._zygote.fork_command(
                ("/bin/sh", "-c", command),
                stdio=(stdin_read, output_write, output_write),
                cwd=cwd,
                env=env,
                shared=self.shared,
            )
        except BaseException:
            os.close(stdin_write)
            os.close(output_read)
            raise
        finally:
            os.close(stdin_read)
            os.close(output_write)
        self.processes[process.id] = process
        self._forget_old()
        self._tasks.start_soon(self._serve, process, forked, output_read, channel)
        return process

    async def _serve(self, process: Process, forked: Forked, output: int, channel: socket.socket | None) -> None:
        """Serve one process and its door; the last one to end lets the session's namespaces go."""
        confinement = self._zygote.confinement
        try:
            async with beside_door(channel, confinement, self._serve_door):
                await process.serve(forked, output, confinement.background_timeout)
        finally:
            if not self.live and self.shared:
                shared, self.shared = self.shared, 0
                with anyio.CancelScope(shield=True):
                    await self._zygote.unshare(shared)

    def _forget_old(self) -> None:
        """Forget the oldest ended processes beyond MAX_KEPT."""
        ended = [key for key, process in self.processes.items() if process.exit_status is not None]
        for key in ended[: max(0, len(self.processes) - MAX_KEPT)]:
            del self.processes[key]


class Processes:
    """The background processes of one lease's session: what a turn may ask for through the gateway."""

    def __init__(self, session: Session, turn: Forked) -> None:
        self._session = session
        self._turn = turn

    async def start(self, command: str, *, cwd: str | None, env: Mapping[str, str]) -> Process:
        """Start a shell command that outlives the turn. Raise SandboxError when the session has too many."""
        return await self._session.start(self._turn, command, cwd, env)

    def list(self) -> list[Process]:
        """Return the session's processes, oldest first; ended ones are kept for a while."""
        return [*self._session.processes.values()]

    def get(self, process_id: str) -> Process:
        """Return one of the session's processes. Raise KeyError for any other id."""
        return self._session.processes[process_id]
