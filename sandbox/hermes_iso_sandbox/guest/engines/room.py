"""Keep a conversation within the frames of the wire: shorten what is oldest and matters least, and say so in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hermes_iso_sandbox.wire import FRAME_LIMIT

JsonObject = dict[str, Any]

MODEL_ROOM = 900_000
"""Bytes that the messages of one model call may take as JSON."""
DONE_ROOM = FRAME_LIMIT - 4_096
"""Bytes for the text and the messages of a turn's end."""
KEPT = 400
"""Characters that remain of a shortened text."""


class TooLargeError(Exception):
    """Messages that do not fit, however much is shortened; `size` is what is left of them in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


def json_size(value: Any) -> int:
    """Return the bytes of a value as JSON on the wire."""
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def fit(messages: Sequence[JsonObject], room: int) -> list[JsonObject]:
    """Return the messages, shortened from the oldest on until they take at most `room` bytes as JSON.

    Results of tools go first, then what else is long. System message and last message stay as they are. Raises TooLargeError.
    """
    fitted = list(messages)
    sizes = [json_size(message) + 1 for message in messages]
    excess = sum(sizes) + 2 - room
    for roles in (("tool",), ("assistant", "user")):
        for index, message in enumerate(messages[:-1]):
            if excess <= 0:
                return fitted
            if message["role"] in roles:
                fitted[index] = _shortened(message)
                excess -= sizes[index] - json_size(fitted[index]) - 1
    if excess > 0:
        raise TooLargeError(room + excess)
    return fitted


def _shortened(message: JsonObject) -> JsonObject:
    """Return a message with its long texts cut, still of the same form: arguments of a call stay JSON."""
    shorter = dict(message)
    if isinstance(shorter.get("content"), str):
        shorter["content"] = cut(shorter["content"], KEPT)
    if shorter.get("tool_calls"):
        shorter["tool_calls"] = [_shortened_call(call) for call in shorter["tool_calls"]]
    return shorter


def _shortened_call(call: JsonObject) -> JsonObject:
    """Return a tool call whose arguments are short."""
    function = call["function"]
    if len(function["arguments"]) <= 2 * KEPT:
        return call
    note = json.dumps({"left_out": f"{len(function['arguments'])} characters of arguments, to make room"})
    return {**call, "function": {**function, "arguments": note}}


def cut(text: str, kept: int) -> str:
    """Return the beginning of a text with a note of how much is missing; a text that is hardly longer stays whole."""
    if len(text) <= 2 * kept:
        return text
    return f"{text[:kept]}\n[{len(text) - kept} characters were left out here to make room]"
