"""What a turn may spend on models, and the check of what its guest wants to say to one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

import trio

from hermes_iso.broker.calls import JsonObject, ModelAnswer, ModelCall, OnText
from hermes_iso.errors import ModelError
from hermes_iso.messages import Usage

EXTRA_CALLS = 4
"""Model calls of a turn beyond its agent's max_iterations: a summary at the end, and some slack."""
MESSAGES_BYTES = 8 << 20
"""Most bytes of text in the messages of one call."""
MESSAGES_COUNT = 10_000
"""Most messages, and most tool calls of one message."""
NAME_LENGTH = 256
"""Longest tool name or call id."""
_MESSAGE_OVERHEAD = 64
"""Bytes that a message costs beside its text, roughly."""
_BYTES_PER_TOKEN = 4
"""For a provider that does not count: the usual length of a token."""

Complete = Callable[[ModelCall, OnText], Awaitable[ModelAnswer]]


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """Bounds of one turn; each can be set lower than its default, and never higher.

    calls_at_once: model calls that run at a time; a further one waits. request_bytes, answer_bytes: text sent and received.
    tokens: prompt and completion together, as the provider counts them.
    """

    calls_at_once: int = 2
    request_bytes: int = 64 << 20
    answer_bytes: int = 64 << 20
    tokens: int = 20_000_000

    def __post_init__(self) -> None:
        for spec in fields(self):
            value, ceiling = getattr(self, spec.name), spec.default
            if not 1 <= value <= ceiling:
                raise ValueError(f"{spec.name} can be 1 to {ceiling}, not {value}")


class Charge:
    """What one call that is passed on has cost so far: `size` in bytes, and `usage` as its provider says in the end.

    answered: the provider took the call, so that it costs tokens even where it does not say how many.
    """

    __slots__ = ("_on_bytes", "answered", "size", "usage")

    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self._on_bytes = on_bytes
        self.answered = False
        self.size = 0
        self.usage = Usage()

    def received(self, size: int) -> None:
        """Count bytes of the answer. Raises ModelError("budget") when there are too many."""
        self.answered = True
        self.size += size
        self._on_bytes(size)


class Budget:
    """What is left to one turn; `complete` and `passing` are the only ways for a guest's call to a model."""

    def __init__(self, *, max_iterations: int, limits: BudgetLimits | None = None) -> None:
        self._limits = limits or BudgetLimits()
        self._max_calls = max_iterations + EXTRA_CALLS
        self._places = trio.Semaphore(self._limits.calls_at_once)
        self._calls = 0
        self._request_bytes = 0
        self._answer_bytes = 0
        self._tokens = 0
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """What the turn's answered calls cost, as their providers counted."""
        return self._usage

    @property
    def steps_left(self) -> int:
        """How many model calls are left beside EXTRA_CALLS, which a turn may need to end."""
        return max(0, self._max_calls - EXTRA_CALLS - self._calls)

    async def complete(self, call: ModelCall, on_text: OnText, complete: Complete) -> ModelAnswer:
        """Let `complete` (ModelBroker.complete) answer a call, and charge it. Failed calls are charged as calls and bytes sent.

        Waits for one of the turn's places, at most until the call's deadline. Raises ModelError("budget") when something is
        spent before the call or becomes so by its text, else what `complete` raises.
        """
        sent = messages_size(call.messages)
        self._charge_request(sent)

        async def charged_text(text: str) -> None:
            self._received(len(text.encode("utf-8", "replace")))
            await on_text(text)

        with trio.move_on_at(call.deadline):
            async with self._places:
                answer = await complete(call, charged_text)
            self._charge_answer(answer, sent)
            return answer
        raise ModelError("timeout", "The turn's time was over before its model could answer: try again.")

    @asynccontextmanager
    async def passing(self, sent: int) -> AsyncIterator[Charge]:
        """Charge a call whose answer is passed on as it comes; `sent`: its bytes. The caller sees to its deadline.

        Waits for one of the turn's places. Raises ModelError("budget") when something is spent before the call.
        """
        self._charge_request(sent)
        try:
            self._places.acquire_nowait()  # what is free is not worth a turn of the loop
        except trio.WouldBlock:
            await self._places.acquire()
        charge = Charge(self._received)
        try:
            yield charge
        finally:
            self._places.release()
            if charge.answered:
                used = charge.usage.prompt_tokens + charge.usage.completion_tokens
                self._tokens += used or (sent + charge.size) // _BYTES_PER_TOKEN
                self._add_usage(charge.usage)

    def _received(self, size: int) -> None:
        """Charge bytes of an answer. Raise ModelError when there are too many."""
        self._answer_bytes += size
        self._check("answer_bytes", self._answer_bytes, "bytes from its model")

    def _charge_request(self, size: int) -> None:
        """Charge a call that is about to begin. Raise ModelError when the turn has spent what it may."""
        if self._calls >= self._max_calls:
            raise ModelError("budget", f"The turn has made its {self._max_calls} model calls: ask for less at a time.")
        self._check("tokens", self._tokens, "tokens")
        self._check("answer_bytes", self._answer_bytes, "bytes from its model")
        self._check("request_bytes", self._request_bytes + size, "bytes to its model")
        self._calls += 1
        self._request_bytes += size

    def _charge_answer(self, answer: ModelAnswer, sent: int) -> None:
        """Charge what an answer cost: its text is charged already, its tool calls are not."""
        calls = answer.message.get("tool_calls", ())
        received = messages_size([{"tool_calls": calls}])
        self._answer_bytes += received
        used = answer.usage.prompt_tokens + answer.usage.completion_tokens
        spoken = len(answer.message.get("content") or "")
        self._tokens += used or (sent + received + spoken) // _BYTES_PER_TOKEN
        self._add_usage(answer.usage)

    def _add_usage(self, usage: Usage) -> None:
        """Count an answered call."""
        self._usage = Usage(
            self._usage.prompt_tokens + usage.prompt_tokens,
            self._usage.completion_tokens + usage.completion_tokens,
            self._usage.calls + 1,
        )

    def _check(self, name: str, spent: int, what: str) -> None:
        """Raise ModelError when `spent` is over the limit of that name."""
        limit = getattr(self._limits, name)
        if spent > limit:
            raise ModelError("budget", f"The turn has used up its {limit} {what}: ask for less at a time.")


def messages_size(messages: list[JsonObject]) -> int:
    """Return about how many bytes checked messages have on the way to a provider."""
    total = 0
    for message in messages:
        total += _MESSAGE_OVERHEAD + len((message.get("content") or "").encode("utf-8", "replace"))
        for call in message.get("tool_calls", ()):
            function = call["function"]
            total += _MESSAGE_OVERHEAD + len(function["name"]) + len(function["arguments"].encode("utf-8", "replace"))
    return total


def check_messages(value: Any) -> list[JsonObject]:
    """Return a guest's messages, rebuilt from the keys that are known. Raise ModelError("refused") for anything else.

    The guest is not trusted: nothing of its objects is passed on but text in the places where text belongs.
    """
    if not isinstance(value, list) or not 0 < len(value) <= MESSAGES_COUNT:
        raise _refused("messages", f"be a list of 1 to {MESSAGES_COUNT} messages")
    messages = [_message(f"messages[{number}]", each) for number, each in enumerate(value)]
    if messages_size(messages) > MESSAGES_BYTES:
        raise ModelError("refused", f"The conversation is longer than {MESSAGES_BYTES} bytes: begin a new one.")
    return messages


def _refused(place: str, wanted: str) -> ModelError:
    """Return the error for a place that does not hold what is wanted; it never repeats what was there."""
    return ModelError("refused", f"The guest's model call is malformed: {place} must {wanted}.")


def _message(place: str, value: Any) -> JsonObject:
    """Return one message, checked and rebuilt."""
    if not isinstance(value, dict):
        raise _refused(place, "be an object")
    role = value.get("role")
    if role in ("system", "user"):
        return {"role": role, "content": _content(f"{place}.content", value.get("content"))}
    if role == "tool":
        call_id = _name(f"{place}.tool_call_id", value.get("tool_call_id"))
        return {"role": "tool", "tool_call_id": call_id, "content": _content(f"{place}.content", value.get("content"))}
    if role != "assistant":
        raise _refused(f"{place}.role", "be system, user, assistant or tool")
    content, calls = value.get("content"), value.get("tool_calls")
    text = "" if content is None else _content(f"{place}.content", content)
    if calls is None or calls == []:
        return {"role": "assistant", "content": text}
    if not isinstance(calls, list) or len(calls) > MESSAGES_COUNT:
        raise _refused(f"{place}.tool_calls", f"be a list of at most {MESSAGES_COUNT} calls")
    checked = [_tool_call(f"{place}.tool_calls[{number}]", each) for number, each in enumerate(calls)]
    return {"role": "assistant", "content": text or None, "tool_calls": checked}


def _tool_call(place: str, value: Any) -> JsonObject:
    """Return one tool call, checked and rebuilt."""
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or value.get("type", "function") != "function":
        raise _refused(place, "be an object of type function")
    name = _name(f"{place}.function.name", function.get("name"))
    arguments = _text(f"{place}.function.arguments", function.get("arguments"))
    call_id = _name(f"{place}.id", value.get("id"))
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _content(place: str, value: Any) -> str:
    """Return content as one text: plain, or a list of text parts."""
    if not isinstance(value, list):
        return _text(place, value)
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        raise _refused(place, "be text, or a list of parts of type text")
    return "".join(_text(f"{place}[{number}].text", part.get("text")) for number, part in enumerate(value))


def _name(place: str, value: Any) -> str:
    """Return a short text that is not empty."""
    text = _text(place, value)
    if not 0 < len(text) <= NAME_LENGTH:
        raise _refused(place, f"have 1 to {NAME_LENGTH} characters")
    return text


def _text(place: str, value: Any) -> str:
    """Return a text, with lone surrogates replaced: they can't be sent on as UTF-8."""
    if not isinstance(value, str):
        raise _refused(place, "be text")
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
