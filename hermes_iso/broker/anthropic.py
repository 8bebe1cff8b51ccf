"""Anthropic's messages API: the request for a call in OpenAI's shape, and the reading of an answer, streamed or not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.calls import JsonObject, ModelAnswer, ModelCall
from hermes_iso.broker.events import as_count, as_object, as_objects, as_text
from hermes_iso.broker.faults import AnswerFaultError, fault_of
from hermes_iso.broker.openai import ToolCalls, make_answer
from hermes_iso.messages import Usage

VERSION = "2023-06-01"
MAX_TOKENS = 8192
"""Longest answer asked for: the API wants a number, and refuses one that is more than the model can do."""
_REASONS: Mapping[str, str] = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "content_filter"}
_ID_CHARACTERS = re.compile(r"[^a-zA-Z0-9_-]")
_USAGE = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


def anthropic_url(base_url: str, path: str = "/messages") -> str:
    """Return the address of the messages API, or of another path, below `base_url`, which may end in `/v1` or not."""
    parts = urlsplit(base_url)
    below = parts.path.rstrip("/").removesuffix("/v1")
    return parts._replace(path=f"{below}/v1{path}", fragment="").geturl()


def anthropic_headers(settings: ModelSettings) -> dict[str, str]:
    """Return the headers that the dialect needs."""
    headers = {"anthropic-version": VERSION}
    if not settings.api_key:
        return headers
    key = ("authorization", f"Bearer {settings.api_key}") if settings.bearer else ("x-api-key", settings.api_key)
    return {**headers, key[0]: key[1]}


def anthropic_body(call: ModelCall) -> JsonObject:
    """Return the request body: the system texts go apart, tool results become blocks of the user's next message."""
    system = [str(each["content"]) for each in call.messages if each["role"] == "system" and each["content"]]
    body: JsonObject = {
        "model": call.settings.model,
        "max_tokens": MAX_TOKENS,
        "messages": _turns(call.messages),
        "stream": True,
    }
    if system:
        body["system"] = "\n\n".join(system)
    if call.tools:
        body["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)} for tool in call.tools
        ]
    return body


def _turns(messages: list[JsonObject]) -> list[JsonObject]:
    """Return the conversation as the API wants it: user first, roles alternating, no empty content."""
    turns: list[JsonObject] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message)
        if not blocks:
            continue
        if not turns and role == "assistant":
            turns.append({"role": "user", "content": [{"type": "text", "text": "(earlier messages are left out)"}]})
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: JsonObject) -> list[JsonObject]:
    """Return the content blocks of one message; none for the system's and for empty text, which the API refuses."""
    text = message.get("content") or ""
    if message["role"] == "system":
        return []
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": _call_id(message["tool_call_id"]), "content": text}]
    blocks: list[JsonObject] = [{"type": "text", "text": text}] if text.strip() else []
    for call in message.get("tool_calls", ()):
        function = call["function"]
        given = _input(function["arguments"])
        blocks.append({"type": "tool_use", "id": _call_id(call["id"]), "name": function["name"], "input": given})
    return blocks


def _call_id(call_id: str) -> str:
    """Return a call's id in the characters that the API takes; the same for a call and its result."""
    return _ID_CHARACTERS.sub("_", call_id) or "_"


def _input(arguments: str) -> JsonObject:
    """Return a call's arguments as an object; what an earlier answer spelled wrongly is kept as text."""
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"invalid_arguments": arguments}


class AnthropicReader:
    """Read the events of one streamed answer, or one whole answer."""

    __slots__ = ("_calls", "_reason", "_seen", "_texts", "_usage", "complete")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls = ToolCalls()
        self._reason = ""
        self._seen = False
        self._usage: dict[str, int] = {}
        self.complete = False
        """Nothing more is to come."""

    @property
    def finished(self) -> bool:
        """True once the answer says why it ended: what comes after may be missed."""
        return self.complete or bool(self._reason)

    def take(self, event: JsonObject) -> str:
        """Take an event (or a whole answer) and return the text that it adds. Raise AnswerFaultError for an error event."""
        kind = event.get("type")
        if kind == "error" or event.get("error"):
            raise fault_of(event.get("error"))
        message = as_object(event.get("message")) if kind == "message_start" else event
        self._count(as_object(message.get("usage")))
        if kind in {"message_start", "message"}:
            self._seen = True
            texts = [self._start(index, block) for index, block in enumerate(as_objects(message.get("content")))]
            self._reason = as_text(message.get("stop_reason"))
            return "".join(texts)
        if kind == "content_block_start":
            return self._start(as_count(event.get("index")), as_object(event.get("content_block")))
        if kind == "content_block_delta":
            return self._continue(as_count(event.get("index")), as_object(event.get("delta")))
        if kind == "message_delta":
            self._reason = as_text(as_object(event.get("delta")).get("stop_reason")) or self._reason
        self.complete = self.complete or kind == "message_stop"
        return ""

    def _count(self, usage: JsonObject) -> None:
        """Keep the newest of each count: the input's comes first, the output's grows."""
        self._usage.update({name: as_count(usage[name]) for name in _USAGE if name in usage})

    def _start(self, index: int, block: JsonObject) -> str:
        """Take the beginning of a block, in a whole answer all of it; thinking is no part of the answer."""
        if block.get("type") == "tool_use":
            given = block.get("input") or None
            function = {"name": block.get("name"), "arguments": given}
            self._calls.add({"index": index, "id": block.get("id"), "function": function})
        return self._say(block.get("text")) if block.get("type") == "text" else ""

    def _continue(self, index: int, delta: JsonObject) -> str:
        """Take a further piece of a block."""
        if delta.get("type") == "input_json_delta":
            self._calls.add({"index": index, "function": {"arguments": delta.get("partial_json")}})
        return self._say(delta.get("text")) if delta.get("type") == "text_delta" else ""

    def _say(self, value: object) -> str:
        """Keep a piece of text and return it."""
        text = as_text(value)
        self._texts.append(text)
        return text

    def answer(self) -> ModelAnswer:
        """Return the answer as far as it was read. Raise AnswerFaultError when that is none."""
        if not self._seen:
            raise AnswerFaultError("bad_response", "its answer is not one of the messages API")
        count = self._usage
        prompt = sum(count.get(name, 0) for name in _USAGE[:3])
        usage = Usage(prompt, count.get("output_tokens", 0), calls=1)
        return make_answer("".join(self._texts), self._calls, _REASONS.get(self._reason, "stop"), usage)
