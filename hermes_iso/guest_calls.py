"""GuestCalls: what one turn's guest asks of the trusted side, answered beside the turn, a few at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import trio

from hermes_iso.broker.door import ModelDoor
from hermes_iso.errors import ModelError, TurnError
from hermes_iso.history import message_size
from hermes_iso.leases import LeaseLike
from hermes_iso.ledger import NO_LEDGER, Ledger
from hermes_iso.work import Broker
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.errors import SandboxError

OPEN_CALLS = 4
"""Calls of a turn that may be worked on at a time."""
PARAMS_BYTES = 64 << 10
"""Most bytes of a call's parameters as JSON; the conversation that a model is asked about has bounds of its own."""
UNREAD_ANSWERS = 4
"""Answers that a guest may leave unread: each can hold a frame's worth of memory."""


class GuestCalls:
    """Takes the broker calls of one turn, checks what they name, and sends the answers.

    brokers: what answers each method but the model's. ledger: keeps that the turn calls tools, before its process hears of it.
    """

    def __init__(
        self,
        lease: LeaseLike,
        nursery: trio.Nursery,
        *,
        models: ModelDoor,
        brokers: Mapping[str, Broker],
        ledger: Ledger = NO_LEDGER,
    ) -> None:
        self._ledger = ledger
        self._lease = lease
        self._nursery = nursery
        self._models = models
        self._brokers = brokers
        self._working = 0
        self._unread = 0

    def take_nowait(self, call: wire.BrokerCall) -> None:
        """Begin to answer a call. Raises TurnError(flood) when the guest has too many open, or asks at too great a length."""
        if self._working >= OPEN_CALLS or self._unread >= UNREAD_ANSWERS:
            raise TurnError("flood", f"The agent's process asked for more than {OPEN_CALLS} things at a time.")
        if call.method != "model" and message_size(call.params) > PARAMS_BYTES:
            raise TurnError("flood", f"The agent's process sent a call of more than {PARAMS_BYTES >> 10} KiB.")
        self._working += 1
        self._nursery.start_soon(self._serve, call)

    async def _serve(self, call: wire.BrokerCall) -> None:
        """Answer one call; a guest that is gone by then misses nothing."""
        try:
            answer = await self._answer(call)
        finally:
            self._working -= 1
        self._unread += 1
        try:
            with suppress(SandboxError):
                await self._send(answer)
        finally:
            self._unread -= 1

    async def _send(self, answer: wire.BrokerAnswer) -> None:
        """Send an answer, or say that it does not fit in a frame."""
        try:
            await self._lease.send(answer)
        except wire.WireError as error:
            data = {"kind": "too_long", "message": f"The answer does not fit: {error}."}
            await self._lease.send(wire.BrokerAnswer(answer.call_id, False, data))

    async def _answer(self, call: wire.BrokerCall) -> wire.BrokerAnswer:
        """Do what was asked; a failure is an answer too."""
        try:
            data = await self._do(call)
        except (ModelError, TurnError) as error:
            return wire.BrokerAnswer(call.call_id, False, {"kind": error.kind, "message": str(error)})
        except SandboxError as error:
            return wire.BrokerAnswer(call.call_id, False, {"kind": "sandbox", "message": str(error)})
        return wire.BrokerAnswer(call.call_id, True, data)

    async def _do(self, call: wire.BrokerCall) -> dict[str, Any]:
        """Let the right part answer. Raises ModelError, TurnError, SandboxError."""

        async def on_text(text: str) -> None:
            await self._lease.send(wire.BrokerChunk(call.call_id, {"text": text}))

        if call.method == "model":
            answer = await self._models.answer(call.params, on_text)
            if calls := answer["message"].get("tool_calls"):
                await self._ledger.tools_called([str(each["function"]["name"]) for each in calls])
            return answer
        if call.method in self._brokers:
            await self._models.hooks.check_asked(call.method, call.params)
            return await self._brokers[call.method].answer(call.params)
        raise TurnError("unknown_method", f"The gateway has no method {call.method[:40]!r}.")
