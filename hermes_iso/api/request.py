"""ChatRequest: what the body of a chat completion asks for, checked field by field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from hermes_iso.api.errors import ApiError
from hermes_iso.history import MalformedHistoryError, Message, check_content, check_history

TEXT_BYTES = 200 << 10
"""Longest text of the user's message; with history and persona it must fit in one frame."""
INSTRUCTIONS_BYTES = 100 << 10
"""Longest text of all system and developer messages together."""
MESSAGES = 2_000
"""Most messages of a body."""

Fields: TypeAlias = Mapping[str, tuple[tuple[type, ...], str]]
_NUMBER = (int, float)
_FIELDS: Fields = {
    "model": ((str,), "text"),
    "stream": ((bool,), "true or false"),
    "stream_options": ((dict,), "an object"),
    "temperature": (_NUMBER, "a number"),
    "top_p": (_NUMBER, "a number"),
    "frequency_penalty": (_NUMBER, "a number"),
    "presence_penalty": (_NUMBER, "a number"),
    "n": ((int,), "the number 1"),
    "max_tokens": ((int,), "a whole number"),
    "max_completion_tokens": ((int,), "a whole number"),
    "seed": ((int,), "a whole number"),
    "stop": ((str, list), "text or a list"),
    "user": ((str,), "text"),
    "tools": ((list,), "a list"),
    "response_format": ((dict,), "an object"),
    "metadata": ((dict,), "an object"),
}
"""The fields whose types are checked; null counts as absent. Sampling is the agent's own, so most are then ignored."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat completion: the user's text, the messages before it, the caller's system text, and how to answer."""

    text: str
    history: tuple[Message, ...]
    instructions: str
    model: str
    stream: bool
    include_usage: bool


def parse_chat(body: dict[str, Any]) -> ChatRequest:
    """Check a body. Raises ApiError(400) that names the field."""
    check_types(body, _FIELDS)
    if body.get("n") not in (None, 1):
        raise invalid("n", "must be 1: an agent gives one answer")
    options = body.get("stream_options") or {}
    if not isinstance(options.get("include_usage", False), bool):
        raise invalid("stream_options.include_usage", "must be true or false")
    instructions, conversation = read_messages(body.get("messages"))
    return ChatRequest(
        text=conversation[-1]["content"],
        history=tuple(conversation[:-1]),
        instructions=instructions,
        model=body.get("model") or "",
        stream=bool(body.get("stream")),
        include_usage=options.get("include_usage", False),
    )


def check_types(body: dict[str, Any], fields: Fields) -> None:
    """Check the types of a body's fields; null counts as absent. Raises ApiError(400) that names the field."""
    for name, (types, wanted) in fields.items():
        value = body.get(name)
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            raise invalid(name, f"must be {wanted}")


def read_messages(value: Any) -> tuple[str, list[Message]]:
    """Return the system text, and the conversation whose last message is the user's. Raises ApiError(400)."""
    if not isinstance(value, list) or not 0 < len(value) <= MESSAGES:
        raise invalid("messages", f"must be a list of 1 to {MESSAGES} messages")
    instructions: list[str] = []
    places: list[int] = []
    for number, message in enumerate(value):
        if isinstance(message, dict) and message.get("role") in ("system", "developer"):
            place = f"messages[{number}].content"
            try:
                instructions.append(check_content(place, message.get("content")))
            except MalformedHistoryError as error:
                raise invalid(error.place, f"must {error.wanted}") from None
        else:
            places.append(number)
    try:
        conversation = check_history([value[number] for number in places], ("user", "assistant", "tool"))
    except MalformedHistoryError as error:
        raise invalid(_original(error.place, places), f"must {error.wanted}") from None
    if not conversation or conversation[-1]["role"] != "user":
        raise invalid(f"messages[{len(value) - 1}].role", "must be user: the last message is the one to answer")
    text, system = conversation[-1]["content"], "\n\n".join(instructions)
    place = f"messages[{places[-1]}].content"
    if not text.strip():
        raise invalid(place, "must not be empty")
    if len(text.encode()) > TEXT_BYTES:
        raise invalid(place, f"has {len(text.encode())} bytes and may have {TEXT_BYTES}")
    if len(system.encode()) > INSTRUCTIONS_BYTES:
        raise invalid("messages", f"hold {len(system.encode())} bytes of system text and may hold {INSTRUCTIONS_BYTES}")
    return system, conversation


def _original(place: str, places: list[int]) -> str:
    """Return where a place in the conversation is in the body, which has system messages besides."""
    match = re.match(r"\[(\d+)\](.*)", place)
    assert match is not None
    return f"messages[{places[int(match[1])]}]{match[2]}"


def invalid(param: str, what: str) -> ApiError:
    """Return the error of a field."""
    return ApiError(400, f"{param} {what}.", code="invalid_value", param=param)
