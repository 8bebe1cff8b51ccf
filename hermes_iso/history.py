"""What a session's history may hold: the check of messages that a guest returns, and the cut that fits a turn's request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]

HISTORY_BYTES = 600_000
"""Most bytes of history as JSON in a turn's request: with persona and text it must fit in one frame."""
HISTORY_COUNT = 400
"""Most messages of history in a turn's request."""
SUMMARY_TITLE = "[The earlier part of this conversation was replaced by this summary of it.]"
"""What a history begins with, as the user's word before its summary, after /compress."""
CALLS = 128
"""Most tool calls of one message."""
NAME_LENGTH = 256
"""Longest tool name or call id."""
NO_RESULT = "(no result: the turn was stopped)"
"""Stands in for the result of a tool call that was never answered: models refuse a history with a hole."""


class MalformedHistoryError(ValueError):
    """A message that can't be part of a history; `place` is where, as in [0].content, and the text is what is wanted there."""

    def __init__(self, place: str, wanted: str) -> None:
        super().__init__(wanted)
        self.place = place
        self.wanted = wanted


def clean_text(text: str) -> str:
    """Return a text that can be sent on as UTF-8: lone surrogates, which JSON can spell, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def message_size(message: Message) -> int:
    """Return a message's bytes as JSON."""
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def fitting(sizes: Iterable[int]) -> int:
    """Return how many of the newest messages fit; `sizes` are their bytes, from the newest to the oldest."""
    room, count = HISTORY_BYTES, 0
    for size in sizes:
        room -= size + 1
        if room < 0 or count == HISTORY_COUNT:
            break
        count += 1
    return count


def from_user(messages: Sequence[Message]) -> list[Message]:
    """Return messages from the first of a user on: so no tool call is cut from its results."""
    first = next((number for number, message in enumerate(messages) if message["role"] == "user"), len(messages))
    return list(messages[first:])


def latest(messages: Sequence[Message]) -> list[Message]:
    """Return all messages when they fit, else the newest that do, beginning with a user's."""
    count = fitting(map(message_size, reversed(messages)))
    return list(messages) if count == len(messages) else from_user(messages[len(messages) - count :])


def check_history(messages: Sequence[Any], roles: tuple[str, ...]) -> list[Message]:
    """Return messages rebuilt from the keys that are known, every tool call followed by its result.

    roles: those that may occur, of user, assistant and tool. Raises MalformedHistoryError.
    """
    checked: list[Message] = []
    open_calls: dict[str, None] = {}
    for number, value in enumerate(messages):
        message = _message(f"[{number}]", value, roles)
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise MalformedHistoryError(f"[{number}].tool_call_id", "name a tool call of the assistant's message before it")
            del open_calls[message["tool_call_id"]]
        else:
            checked += _without_result(open_calls)
            open_calls = {call["id"]: None for call in message.get("tool_calls", ())}
        checked.append(message)
    return checked + _without_result(open_calls)


def _without_result(open_calls: Iterable[str]) -> list[Message]:
    """Return a stand-in for the result of each tool call that has none."""
    return [{"role": "tool", "tool_call_id": call_id, "content": NO_RESULT} for call_id in open_calls]


def _message(place: str, value: Any, roles: tuple[str, ...]) -> Message:
    """Return one message, checked and rebuilt."""
    if not isinstance(value, dict):
        raise MalformedHistoryError(place, "be an object")
    role = value.get("role")
    if role not in roles:
        raise MalformedHistoryError(f"{place}.role", f"be {' or '.join(roles)}")
    if role == "user":
        return {"role": "user", "content": check_content(f"{place}.content", value.get("content"))}
    if role == "tool":
        call_id = _name(f"{place}.tool_call_id", value.get("tool_call_id"))
        return {"role": "tool", "tool_call_id": call_id, "content": check_content(f"{place}.content", value.get("content"))}
    calls = value.get("tool_calls") or []
    content = None if value.get("content") is None else check_content(f"{place}.content", value["content"])
    if not isinstance(calls, list):
        raise MalformedHistoryError(f"{place}.tool_calls", "be a list")
    if len(calls) > CALLS:
        raise MalformedHistoryError(f"{place}.tool_calls", f"have at most {CALLS} tool calls")
    if not calls:
        return {"role": "assistant", "content": content or ""}
    checked = [_tool_call(f"{place}.tool_calls[{number}]", call) for number, call in enumerate(calls)]
    if len({call["id"] for call in checked}) < len(checked):
        raise MalformedHistoryError(f"{place}.tool_calls", "have ids that differ")
    return {"role": "assistant", "content": content or None, "tool_calls": checked}


def _tool_call(place: str, value: Any) -> Message:
    """Return one tool call, checked and rebuilt."""
    function = value.get("function") if isinstance(value, dict) else None
    if not isinstance(function, dict) or value.get("type", "function") != "function":
        raise MalformedHistoryError(place, "be an object of type function")
    name = _name(f"{place}.function.name", function.get("name"))
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        raise MalformedHistoryError(f"{place}.function.arguments", "be text")
    call_id = _name(f"{place}.id", value.get("id"))
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": clean_text(arguments)}}


def check_content(place: str, value: Any) -> str:
    """Return content as one text: plain, or a list of parts of type text. Raises MalformedHistoryError."""
    if isinstance(value, str):
        return clean_text(value)
    if not isinstance(value, list):
        raise MalformedHistoryError(place, "be text, or a list of parts of type text")
    texts: list[str] = []
    for number, part in enumerate(value):
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise MalformedHistoryError(f"{place}[{number}]", "be a part of type text: other content is not taken")
        texts.append(clean_text(part["text"]))
    return "".join(texts)


def _name(place: str, value: Any) -> str:
    """Return a short text that is not empty."""
    if not isinstance(value, str) or not 0 < len(value) <= NAME_LENGTH:
        raise MalformedHistoryError(place, f"be text of 1 to {NAME_LENGTH} characters")
    return clean_text(value)
