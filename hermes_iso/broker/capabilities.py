"""What a guest may ask for besides models: the background processes of its own session, through the pool."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol, TypeAlias

import trio

from hermes_iso.errors import TurnError
from hermes_iso.history import clean_text

JsonObject: TypeAlias = dict[str, Any]

PREVIEW = 200
"""Characters of output in a list of processes."""
END_TIMEOUT = 5.0
"""Seconds to end the processes of a session that is over."""
ANSWER_BYTES = 800_000
"""Most bytes of output, as JSON, in an answer: it must fit in one frame. Output full of control characters is cut to this."""


class ProcessLike(Protocol):
    """A background process, as `hermes_iso_sandbox.processes.Process` is one."""

    id: str
    command: str
    cwd: str
    started_at: float
    exit_status: int | None

    @property
    def output(self) -> bytes:
        """The last bytes that it wrote."""

    async def wait(self) -> None:
        """Wait until it has ended."""

    async def kill(self) -> None:
        """End it."""

    async def write(self, data: bytes) -> None:
        """Write to its stdin. Raise SandboxError when it does not read."""


class ProcessesLike(Protocol):
    """The background processes of one session, as a lease gives them."""

    async def start(self, command: str, *, cwd: str | None, env: Mapping[str, str]) -> ProcessLike:
        """Start one. Raise SandboxError when there are too many."""

    def list(self) -> list[Any]:
        """Return all, oldest first."""

    def get(self, process_id: str) -> ProcessLike:
        """Return one. Raise KeyError."""


class ProcessBroker:
    """Answers the broker method `process` for one turn. `env` is what its processes get besides the agent's own.

    granted: the names of the turn's tools. A background process has its agent's sandbox, whatever the turn gave up; so a guest
    that was granted neither tool must not reach one, however it asks.
    """

    def __init__(
        self, processes: ProcessesLike, *, granted: Collection[str], env: Mapping[str, str], scope: trio.CancelScope
    ) -> None:
        self._processes = processes
        self._granted = granted
        self._env = env
        self._scope = scope
        self._actions: Mapping[str, Callable[[JsonObject], Awaitable[JsonObject]]] = {
            "start": self._start,
            "list": self._list,
            "poll": self._log,
            "log": self._log,
            "wait": self._wait,
            "kill": self._kill,
            "write": self._write,
        }

    async def answer(self, params: JsonObject) -> JsonObject:
        """Do what `params` ask. Raises TurnError (not_found, bad_params, not_granted) or SandboxError, to tell the guest."""
        name = _text(params, "action")
        action = self._actions.get(name)
        if action is None:
            raise TurnError("bad_params", f"The process action must be one of {', '.join(self._actions)}.")
        tool = "terminal" if name == "start" else "process"
        if tool not in self._granted:
            raise TurnError("not_granted", f"The process action {name} is the tool {tool}'s, which this turn is not granted.")
        return await action(params)

    async def end_all(self) -> None:
        """End the session's processes, also when the turn is being cancelled; waits END_TIMEOUT seconds at most."""
        with trio.move_on_after(END_TIMEOUT, shield=True):
            for process in self._processes.list():
                if process.exit_status is None:
                    await process.kill()

    async def _start(self, params: JsonObject) -> JsonObject:
        cwd = _text(params, "cwd", default="") or None
        process = await self._processes.start(_text(params, "command"), cwd=cwd, env=self._env)
        entry = _entry(process)
        return {name: entry[name] for name in ("session_id", "command", "cwd", "started_at")}

    async def _list(self, params: JsonObject) -> JsonObject:  # noqa: ARG002  # every action has this form
        await trio.lowlevel.checkpoint()
        return {"processes": [_entry(process) for process in self._processes.list()]}

    async def _log(self, params: JsonObject) -> JsonObject:
        await trio.lowlevel.checkpoint()
        return _with_output(self._get(params))

    async def _wait(self, params: JsonObject) -> JsonObject:
        process = self._get(params)
        timeout = params.get("timeout", math.inf)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout < 0:
            raise TurnError("bad_params", "The timeout of a wait must be a number of seconds.")
        with trio.move_on_at(min(trio.current_time() + timeout, self._scope.deadline)):
            await process.wait()
        return {**_with_output(process), "timed_out": process.exit_status is None}

    async def _kill(self, params: JsonObject) -> JsonObject:
        process = self._get(params)
        await process.kill()
        return _entry(process)

    async def _write(self, params: JsonObject) -> JsonObject:
        data = _text(params, "data").encode()
        await self._get(params).write(data)
        return {"written": len(data)}

    def _get(self, params: JsonObject) -> ProcessLike:
        """Return the process that is meant, one of this session."""
        wanted = _text(params, "session_id")
        try:
            return self._processes.get(wanted)
        except KeyError:
            raise TurnError("not_found", f"This session has no process {wanted[:40]!r}.") from None


def _text(params: JsonObject, name: str, *, default: str | None = None) -> str:
    """Return a text of a guest's parameters, fit to be sent on."""
    value = params.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (name != "data" and "\0" in value):
        raise TurnError("bad_params", f"The process call needs {name} as text.")
    return clean_text(value)


def _entry(process: ProcessLike) -> JsonObject:
    """Return what a list says of a process."""
    running = process.exit_status is None
    return {
        "session_id": process.id,
        "command": process.command,
        "cwd": process.cwd,
        "started_at": process.started_at,
        "uptime_seconds": round(time.time() - process.started_at, 1),
        "status": "running" if running else "exited",
        "exit_code": process.exit_status,
        "output_preview": process.output[-4 * PREVIEW :].decode("utf-8", "replace")[-PREVIEW:],
    }


def _with_output(process: ProcessLike) -> JsonObject:
    """Return an entry with the output, the oldest left out where it would not fit in an answer."""
    text = process.output.decode("utf-8", "replace")
    while len(json.dumps(text, ensure_ascii=False).encode()) > ANSWER_BYTES:
        text = text[len(text) // 4 :]
    return {**_entry(process), "output": text}
