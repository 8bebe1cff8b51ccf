"""How a turn's answer is written: as one JSON object, or as server-sent events while it is made.

The turn never writes to the socket itself: it hands pieces to a writer; see `event_stream`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import trio

from hermes_iso.api.errors import Receive, Send, send_error, send_json, turn_error
from hermes_iso.api.event_stream import EventStream, rest_of
from hermes_iso.background import Background
from hermes_iso.messages import Inbound, Outbound, Progress, Receipt, Usage

ANSWER_TIMEOUT = 60.0
"""Seconds after the end of its turn for a client to take the rest of the answer: until then its session waits."""


@dataclass(frozen=True, slots=True)
class Head:
    """What every answer of a turn carries: its id, the model's name as the client gave it, and the X-Hermes headers.

    created: Unix time, one for all chunks of an answer.
    """

    turn_id: str
    model: str
    headers: Mapping[str, str]
    created: int

    def completion(self, kind: str, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        """Return an object of the chat completions."""
        return {
            "id": f"chatcmpl-{self.turn_id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **more,
        }


Deliver: TypeAlias = Callable[[Outbound], Awaitable[Receipt]]
Relay: TypeAlias = Callable[[Progress], Awaitable[None]]
Handle: TypeAlias = Callable[[Inbound, Deliver, Relay], Awaitable[Receipt]]


class Answer(Protocol):
    """Takes what a turn shows and how it ends, and writes it to the client."""

    async def relay(self, progress: Progress) -> None:
        """Take something of the running turn."""

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Take the end."""

    async def write(self) -> None:
        """Write until the end has been written; runs beside the turn."""


class WholeAnswer:
    """One JSON object at the end."""

    def __init__(self, send: Send, head: Head) -> None:
        self._send = send
        self._head = head

    async def relay(self, progress: Progress) -> None:
        """Show nothing before the end."""

    async def write(self) -> None:
        """Do nothing: `deliver` writes."""

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Send the completion, or the error of a turn that failed."""
        if outbound.error is not None:
            await send_error(self._send, turn_error(outbound), self._head.headers)
        else:
            message = {"role": "assistant", "content": outbound.text, "refusal": None}
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            value = self._head.completion("chat.completion", [choice], usage=usage_object(outbound.usage))
            await send_json(self._send, value, headers=self._head.headers)
        return Receipt(outbound, f"chatcmpl-{outbound.turn_id}")


class StreamAnswer:
    """Server-sent events as the turn goes."""

    def __init__(self, send: Send, head: Head, *, include_usage: bool) -> None:
        self._events = EventStream(send, head.headers)
        self.write = self._events.write
        self._head = head
        self._include_usage = include_usage
        self._begun = False
        self._segment = ""
        self._between = False

    async def relay(self, progress: Progress) -> None:
        """Send text on, and questions as text. A tool or a question ends a segment: what follows is set apart from it."""
        await self._begin()
        if progress.kind == "question":
            await self._chunk({"content": ("\n\n" if self._between or self._segment else "") + progress.text})
            self._segment, self._between = "", True
            return
        if progress.kind == "status":
            return
        if progress.kind != "text":
            self._between = self._between or bool(self._segment)
            self._segment = ""
            return
        gap, self._between = "\n\n" if self._between else "", False
        self._segment += progress.text
        await self._chunk({"content": gap + progress.text})

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Send what is left of the text and the end, or the error."""
        if outbound.error is not None:
            await self._events.fail(turn_error(outbound))
        else:
            await self._begin()
            rest = rest_of(outbound.text, self._segment)
            if rest:
                apart = self._between or not outbound.text.startswith(self._segment)
                await self._chunk({"content": "\n\n" + rest if apart else rest})
            await self._chunk({}, finish_reason="stop")
            if self._include_usage:
                await self._event([], usage=usage_object(outbound.usage))
            await self._events.put_raw(b"data: [DONE]\n\n")
        self._events.close()
        return Receipt(outbound, f"chatcmpl-{outbound.turn_id}")

    async def _begin(self) -> None:
        """Send the first chunk, which names the role."""
        if not self._begun:
            self._begun = True
            await self._chunk({"role": "assistant", "content": ""})

    async def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> None:
        await self._event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}])

    async def _event(self, choices: list[dict[str, Any]], **more: Any) -> None:
        if self._include_usage:
            more.setdefault("usage", None)
        await self._events.put(self._head.completion("chat.completion.chunk", choices, **more))


async def take_message(handle: Handle, inbound: Inbound, answer: Answer, receive: Receive) -> None:
    """Take a message through the line to its answer.

    A client that hangs up cancels the turn. One that does not take its answer is left ANSWER_TIMEOUT after the turn.
    """
    async with Background() as nursery:
        written = trio.Event()

        async def write() -> None:
            await answer.write()
            written.set()

        async def deliver(outbound: Outbound) -> Receipt:
            nursery.cancel_scope.deadline = trio.current_time() + ANSWER_TIMEOUT
            return await answer.deliver(outbound)

        nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
        nursery.start_soon(write)
        await handle(inbound, deliver, answer.relay)
        await written.wait()


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancel once the client has hung up."""
    await wait_until_gone(receive)
    scope.cancel()


async def wait_until_gone(receive: Receive) -> None:
    """Wait until the client has hung up; the body has been read, so nothing else is to come."""
    while (await receive())["type"] != "http.disconnect":
        pass


def usage_object(usage: Usage) -> dict[str, int]:
    """Return a turn's usage in OpenAI's shape."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
