"""ItemsRequest: what the body of a response or a run asks for, checked field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hermes_iso.api.errors import ApiError
from hermes_iso.api.request import INSTRUCTIONS_BYTES, Fields, check_types, invalid, read_messages
from hermes_iso.history import Message, clean_text

METADATA = 16
"""Most entries of `metadata`."""
_TEXT_PARTS = ("input_text", "output_text", "text")
_FIELDS: Fields = {
    "model": ((str,), "text"),
    "instructions": ((str,), "text"),
    "previous_response_id": ((str,), "text"),
    "stream": ((bool,), "true or false"),
    "store": ((bool,), "true or false"),
    "background": ((bool,), "true or false"),
    "metadata": ((dict,), "an object"),
    "temperature": ((int, float), "a number"),
    "top_p": ((int, float), "a number"),
    "max_output_tokens": ((int,), "a whole number"),
    "tools": ((list,), "a list"),
    "user": ((str,), "text"),
}


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """The user's text, the messages before it that the body has, system text, and how to answer.

    previous: the response that this one goes on from. raw_instructions: as the answer repeats them.
    """

    text: str
    history: tuple[Message, ...]
    instructions: str
    raw_instructions: str | None
    model: str
    previous: str | None
    metadata: dict[str, str]
    stream: bool
    store: bool
    background: bool


def parse_items(body: dict[str, Any]) -> ItemsRequest:
    """Check a body. Raises ApiError(400) that names the field."""
    check_types(body, _FIELDS)
    system, conversation = _input(body.get("input"))
    given = body.get("instructions")
    raw = None if given is None else clean_text(given)
    instructions = "\n\n".join(filter(None, (raw, system)))
    if len(instructions.encode()) > INSTRUCTIONS_BYTES:
        raise invalid("instructions", f"have {len(instructions.encode())} bytes and may have {INSTRUCTIONS_BYTES}")
    return ItemsRequest(
        text=conversation[-1]["content"],
        history=tuple(conversation[:-1]),
        instructions=instructions,
        raw_instructions=raw,
        model=clean_text(body.get("model") or ""),
        previous=body.get("previous_response_id"),
        metadata=_metadata(body.get("metadata") or {}),
        stream=bool(body.get("stream")),
        store=body.get("store") is not False,
        background=bool(body.get("background")),
    )


def _input(value: Any) -> tuple[str, list[Message]]:
    """Return the system text and the conversation of `input`: a text, or a list of messages."""
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise invalid("input", "must be text, or a list of messages")
    messages = [_message(number, item) for number, item in enumerate(value)]
    try:
        return read_messages(messages)
    except ApiError as error:  # of messages, which is what its items are here
        place = (error.param or "input").replace("messages", "input", 1)
        raise ApiError(400, str(error).replace("messages", "input", 1), code=error.code, param=place) from None


def _message(number: int, item: Any) -> dict[str, Any]:
    """Return an item as a message of a chat completion."""
    if not isinstance(item, dict) or item.get("type", "message") != "message":
        raise invalid(f"input[{number}].type", "must be message: other items are not taken")
    content = item.get("content")
    if isinstance(content, list):
        content = [_part(f"input[{number}].content[{place}]", part) for place, part in enumerate(content)]
    return {"role": item.get("role"), "content": content}


def _part(place: str, part: Any) -> dict[str, Any]:
    """Return a part of a message's content as a chat completion has it."""
    if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS:
        raise invalid(place, "must be a part of type input_text or output_text: other content is not taken")
    return {"type": "text", "text": part.get("text")}


def _metadata(value: dict[str, Any]) -> dict[str, str]:
    """Return the caller's own notes: short texts by name."""
    if len(value) > METADATA:
        raise invalid("metadata", f"may have {METADATA} entries")
    for name, text in value.items():
        if len(name) > 64 or not isinstance(text, str) or len(text) > 512:
            raise invalid("metadata", "must be texts of up to 512 characters, with names of up to 64")
    return {clean_text(name): clean_text(text) for name, text in value.items()}
