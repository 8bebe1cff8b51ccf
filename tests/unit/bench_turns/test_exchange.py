"""One measured turn: what counts as an answer, and what does not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from hermes_iso.bench_turns.exchange import ECHO, TOOL, BenchmarkError, timed_turn
from hermes_iso_sandbox import wire


class ScriptedLease:
    """A lease that says what it is told to, one message after the other."""

    def __init__(self, *messages: wire.GuestMessage) -> None:
        self.sent: list[wire.HostMessage] = []
        self._messages = list(messages)

    @contextlib.asynccontextmanager
    async def opening(self) -> AsyncIterator[ScriptedLease]:
        """Open it."""
        yield self

    async def send(self, message: wire.HostMessage) -> None:
        """Remember what was sent."""
        self.sent.append(message)

    async def receive(self) -> wire.GuestMessage:
        """Say the next thing."""
        return self._messages.pop(0)


ASK = wire.BrokerCall(1, "model", {})
CALLED = wire.ToolCalled("c1", "terminal", "/bin/true")
DONE = wire.TurnDone("hello")


async def test_turn_is_timed_when_it_answers_as_it_must():
    """An echo and a tool call that worked have two times each, and the model's part is played."""
    timed = await timed_turn(ScriptedLease(DONE).opening(), ECHO)
    assert timed.reply >= 0
    assert timed.dead >= 0
    lease = ScriptedLease(ASK, CALLED, wire.ToolReturned("c1", "terminal", True, 0.1), ASK, wire.TextDelta("hel"), DONE)
    await timed_turn(lease.opening(), TOOL)
    said = [message.data["message"] for message in lease.sent if isinstance(message, wire.BrokerAnswer)]
    assert [bool(message.get("tool_calls")) for message in said] == [True, False]


@pytest.mark.parametrize(
    ("request_", "messages"),
    [
        (ECHO, [wire.TurnDone("something else")]),
        (ECHO, [wire.TurnFailed("guest_error", "it broke")]),
        (TOOL, [ASK, DONE]),
        (TOOL, [ASK, CALLED, wire.ToolReturned("c1", "terminal", False, 0.1), ASK, DONE]),
    ],
)
async def test_turn_that_did_not_do_its_work_is_an_error(request_, messages):
    """A fast failure is never counted as a fast turn."""
    with pytest.raises(BenchmarkError, match="did not answer"):
        await timed_turn(ScriptedLease(*messages).opening(), request_)
