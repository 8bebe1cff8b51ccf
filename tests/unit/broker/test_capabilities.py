"""The broker method `process`: what a guest may do with its session's background processes, and no others."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import trio
import trio.testing

from hermes_iso.broker.capabilities import PREVIEW, ProcessBroker
from hermes_iso.errors import TurnError
from hermes_iso_sandbox import SandboxError, wire

BOTH = frozenset({"terminal", "process"})


class FakeProcess:
    """A process that ends when it is told to."""

    def __init__(self, command: str, cwd: str) -> None:
        self.id = "proc_0123456789ab"
        self.command = command
        self.cwd = cwd
        self.started_at = time.time()
        self.exit_status: int | None = None
        self.output = b""
        self.written = b""
        self._ended = trio.Event()

    async def wait(self) -> None:
        await self._ended.wait()

    async def kill(self) -> None:
        self.exit_status = 137
        self._ended.set()

    async def write(self, data: bytes) -> None:
        if self.exit_status is not None:
            raise SandboxError("It does not read its input.")
        self.written += data


class FakeProcesses:
    """One session's processes."""

    def __init__(self) -> None:
        self.all: dict[str, FakeProcess] = {}
        self.env: Any = None

    async def start(self, command: str, *, cwd: str | None, env: Any) -> FakeProcess:
        self.env = env
        process = FakeProcess(command, cwd or "/workspace")
        self.all[process.id] = process
        return process

    def list(self) -> list[FakeProcess]:
        return [*self.all.values()]

    def get(self, process_id: str) -> FakeProcess:
        return self.all[process_id]


@pytest.fixture
async def started() -> tuple[ProcessBroker, FakeProcess, FakeProcesses]:
    """Give a broker with one running process."""
    processes = FakeProcesses()
    broker = ProcessBroker(processes, granted=BOTH, env={"HERMES_ISO_AGENT": "main"}, scope=trio.CancelScope())
    await broker.answer({"action": "start", "command": "serve", "cwd": None})
    return broker, processes.all["proc_0123456789ab"], processes


async def test_start_gives_who_and_where(started: Any) -> None:
    """The answer names the process, and its environment is the turn's."""
    broker, process, processes = started
    answer = await broker.answer({"action": "start", "command": "x", "cwd": "/tmp"})
    assert {**answer, "started_at": 0} == {"session_id": process.id, "command": "x", "cwd": "/tmp", "started_at": 0}
    assert processes.env == {"HERMES_ISO_AGENT": "main"}


async def test_list_and_poll_tell_state_and_output(started: Any) -> None:
    """A list has a short preview, a poll the output, invalid UTF-8 replaced."""
    broker, process, _ = started
    process.output = b"\xff" + b"a" * 1000
    (entry,) = (await broker.answer({"action": "list"}))["processes"]
    assert (entry["status"], entry["exit_code"], entry["output_preview"]) == ("running", None, "a" * PREVIEW)
    process.exit_status = 3
    polled = await broker.answer({"action": "poll", "session_id": process.id})
    assert (polled["status"], polled["exit_code"], polled["output"]) == ("exited", 3, "�" + "a" * 1000)


async def test_wait_ends_with_the_process_its_timeout_or_the_turn(autojump_clock: trio.testing.MockClock) -> None:
    """A wait never outlasts the turn."""
    processes = FakeProcesses()
    broker = ProcessBroker(processes, granted=BOTH, env={}, scope=trio.CancelScope(deadline=trio.current_time() + 5))
    await broker.answer({"action": "start", "command": "x"})
    (process,) = processes.list()
    began = trio.current_time()
    assert (await broker.answer({"action": "wait", "session_id": process.id, "timeout": 2}))["timed_out"] is True
    assert trio.current_time() - began == 2
    assert (await broker.answer({"action": "wait", "session_id": process.id, "timeout": 1e9}))["timed_out"] is True
    assert trio.current_time() - began == 5
    await process.kill()
    assert (await broker.answer({"action": "wait", "session_id": process.id}))["timed_out"] is False


async def test_kill_and_write_reach_the_process(started: Any) -> None:
    """What is written arrives; a process that ended refuses with the sandbox's sentence."""
    broker, process, _ = started
    assert await broker.answer({"action": "write", "session_id": process.id, "data": "é\n"}) == {"written": 3}
    assert process.written == "é\n".encode()
    assert (await broker.answer({"action": "kill", "session_id": process.id}))["exit_code"] == 137
    with pytest.raises(SandboxError):
        await broker.answer({"action": "write", "session_id": process.id, "data": "x"})


@pytest.mark.parametrize(
    ("params", "kind"),
    [
        ({}, "bad_params"),
        ({"action": "fork"}, "bad_params"),
        ({"action": ["list"]}, "bad_params"),
        ({"action": "start"}, "bad_params"),
        ({"action": "start", "command": "a\0b"}, "bad_params"),
        ({"action": "poll"}, "bad_params"),
        ({"action": "poll", "session_id": "proc_other"}, "not_found"),
        ({"action": "wait", "session_id": "proc_0123456789ab", "timeout": "1"}, "bad_params"),
        ({"action": "wait", "session_id": "proc_0123456789ab", "timeout": -1}, "bad_params"),
        ({"action": "write", "session_id": "proc_0123456789ab", "data": 1}, "bad_params"),
    ],
)
async def test_bad_call_is_an_error_of_its_kind(started: Any, params: dict[str, Any], kind: str) -> None:
    """Nothing that a guest sends gets further than a sentence."""
    broker, _, _ = started
    with pytest.raises(TurnError) as caught:
        await broker.answer(params)
    assert caught.value.kind == kind


async def test_output_of_any_bytes_fits_in_a_frame(started: Any) -> None:
    """200,000 control characters are six times as long in JSON; the oldest are left out."""
    broker, process, _ = started
    process.output = b"\x01" * 200_000
    answer = await broker.answer({"action": "log", "session_id": process.id})
    assert 100_000 < len(answer["output"]) < 200_000
    wire.encode(wire.BrokerAnswer(1, True, answer))
    assert json.dumps(answer)


@pytest.mark.parametrize(
    ("granted", "refused"),
    [
        (BOTH, set()),
        ({"terminal"}, {"list", "poll", "log", "wait", "kill", "write"}),
        ({"process"}, {"start"}),
        ({"read_file"}, {"start", "list", "poll", "log", "wait", "kill", "write"}),
    ],
)
async def test_what_a_turn_is_not_granted_it_can_not_ask_for_either(granted: Any, refused: set[str]) -> None:
    """Each action belongs to a tool, and a guest that was not granted that one is refused, though it speaks to the host."""
    processes = FakeProcesses()
    process = await processes.start("serve", cwd=None, env={})
    broker = ProcessBroker(processes, granted=granted, env={}, scope=trio.CancelScope())
    found = {}
    for action in ("start", "list", "poll", "log", "write", "kill", "wait"):
        try:
            await broker.answer({"action": action, "session_id": process.id, "command": "x", "data": "x"})
        except TurnError as error:
            found[action] = error.kind
    assert found == dict.fromkeys(refused, "not_granted")
