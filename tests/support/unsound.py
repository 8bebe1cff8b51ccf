"""A pool without isolation, in the form of SandboxPool: what the leak tests' probes must be able to see through."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Self

import trio
from anyio.abc import UNIXSocketStream

from hermes_iso_sandbox import Confinement, Lease
from hermes_iso_sandbox.zygote import Forked

ROOT = Path(__file__).resolve().parents[2]


def on_host(confinement: Confinement, path: str) -> str:
    """Return where a path inside lies on the host."""
    for bind in confinement.binds:
        if path == bind.target or path.startswith(bind.target + "/"):
            return bind.source + path[len(bind.target) :]
    return str(confinement.home)


class UnsoundProcess:
    """A background process beside the worker, on the host itself."""

    def __init__(self, command: str, cwd: str) -> None:
        self.id, self.command, self.cwd, self.started_at = f"proc_{os.urandom(6).hex()}", command, cwd, 0.0
        self.total_output, self.output = 0, b""
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    @property
    def exit_status(self) -> int | None:
        """Return its status, None while it lives."""
        return self._process.poll()

    async def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class UnsoundProcesses:
    """All background processes of all agents, in one list."""

    def __init__(self, pool: UnsoundPool, cwd: str) -> None:
        self._pool, self._cwd = pool, cwd

    async def start(self, command: str, *, cwd: str | None, env: Mapping[str, str]) -> UnsoundProcess:
        """Start a command on the host."""
        process = UnsoundProcess(command, self._cwd)
        self._pool.processes[process.id] = process
        return process

    def list(self) -> list[UnsoundProcess]:
        """Return everybody's."""
        return [*self._pool.processes.values()]

    def get(self, process_id: str) -> UnsoundProcess:
        """Return anybody's."""
        return self._pool.processes[process_id]


class UnsoundPool:
    """One worker process for every agent and every turn."""

    def __init__(self) -> None:
        self.processes: dict[str, UnsoundProcess] = {}

    async def __aenter__(self) -> Self:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.pathsep.join(str(ROOT / name) for name in (".", "sandbox"))
        argv = [sys.executable, str(Path(__file__).with_name("unsound_worker.py")), str(theirs.fileno())]
        self._worker = subprocess.Popen(argv, pass_fds=[theirs.fileno()], env={"PYTHONPATH": path, "PATH": os.defpath})
        theirs.close()
        self._control = ours
        return self

    async def __aexit__(self, *_: object) -> None:
        self._control.close()
        self._worker.kill()
        self._worker.wait()
        for process in self.processes.values():
            await process.kill()

    @contextlib.asynccontextmanager
    async def lease(self, confinement: Confinement, *, session: str) -> AsyncIterator[Lease]:
        """Give out a thread of the worker."""
        ours, theirs = socket.socketpair()
        cwd = on_host(confinement, confinement.cwd)
        env = {**dict(confinement.env), "HOME": on_host(confinement, "/home/agent"), "HERMES_HOME": str(confinement.home)}
        env_file = confinement.home / ".env"
        settings = {"cwd": cwd, "env": env, "env_file": str(env_file) if env_file.exists() else None}
        socket.send_fds(self._control, [json.dumps(settings).encode()], [theirs.fileno()])
        theirs.close()
        async with await UNIXSocketStream.from_socket(ours) as stream:
            yield Lease(Forked(0), stream, UnsoundProcesses(self, cwd))  # type: ignore[arg-type]

    async def ground(self, confinement: Confinement) -> None:
        """Do nothing: it stands on the worker alone."""
        await trio.lowlevel.checkpoint()

    async def warm(self, confinement: Confinement) -> None:
        """Do nothing: the worker is always warm."""
        await trio.lowlevel.checkpoint()

    def statistics(self) -> Mapping[str, int]:
        """Return nothing of interest."""
        return {"sandboxes": 1, "leases": 0, "processes": len(self.processes)}
