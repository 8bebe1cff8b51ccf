"""One measured turn: what it is asked, the model that is played for it, and how long it took."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from hermes_iso.errors import HermesIsoError
from hermes_iso.leases import LeaseLike
from hermes_iso_sandbox import wire

ECHO = wire.TurnRequest("bench", "agent", "key", "session", "hello", [], "", "", [], 5, "echo")
TOOL = wire.TurnRequest("bench", "agent", "key", "session", "hello", [], "", "", ["terminal"], 5, "native")
"""A turn of the native engine that calls the terminal once: the model's part is played here, without a model."""
_FUNCTION = {"name": "terminal", "arguments": '{"command": "/bin/true"}'}
_CALL = {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": _FUNCTION}]}
_SAY = {"content": "hello"}


class BenchmarkError(HermesIsoError):
    """The benchmark's own check failed: a turn failed, or a process was left. Exit 1."""


@dataclass(frozen=True, slots=True)
class Timed:
    """How long one turn took, in seconds: until its answer was here, and from then until all of it was dead."""

    reply: float
    dead: float


async def timed_turn(opening: AbstractAsyncContextManager[LeaseLike], request: wire.TurnRequest) -> Timed:
    """Take one turn on a lease that is not open yet. Raises BenchmarkError when the answer is not the expected one."""
    began = time.perf_counter()
    async with opening as lease:
        await converse(lease, request)
        replied = time.perf_counter()
    return Timed(replied - began, time.perf_counter() - replied)


async def converse(lease: LeaseLike, request: wire.TurnRequest) -> None:
    """Send a request, answer its model calls, and check its end: a tool was called where one is granted, and it worked."""
    await lease.send(request)
    worked = not request.tools
    while True:
        message: Any = await lease.receive()
        if isinstance(message, wire.BrokerCall):
            said = _SAY if worked else _CALL
            await lease.send(wire.BrokerAnswer(message.call_id, ok=True, data={"message": said}))
        elif isinstance(message, wire.ToolReturned):
            worked = message.ok
        elif not isinstance(message, wire.ToolCalled | wire.TextDelta):
            break
    if not worked or not isinstance(message, wire.TurnDone) or message.text != request.text:
        raise BenchmarkError(f"A turn did not answer as it must: {str(message)[:300]}")
