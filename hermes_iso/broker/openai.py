"""OpenAI's chat completions: the request for a call, and the reading of an answer, streamed or not.

Many servers speak this dialect with an accent. Seen, and read here: tool calls without `index`, without `id`, all with index
0, or with the name repeated in every piece; arguments as an object; content as a list of parts; `message` where a stream
should say `delta`; usage in every piece; an error object where a choice should be; no `[DONE]`. Reasoning fields are no part
of the answer.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.calls import JsonObject, ModelAnswer, ModelCall
from hermes_iso.broker.events import as_count, as_object, as_objects, as_text
from hermes_iso.broker.faults import AnswerFaultError, fault_of
from hermes_iso.messages import Usage

NAME_LIMIT = 256
"""Longest tool name or call id, in characters."""
CALLS_LIMIT = 128
"""Most tool calls in one answer."""
_REASONS: Mapping[str, str] = {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}


def openai_url(base_url: str, path: str = "/chat/completions") -> str:
    """Return the address of chat completions, or of another path, below `base_url`, whose query, if any, stays."""
    parts = urlsplit(base_url)
    return parts._replace(path=parts.path.rstrip("/") + path, fragment="").geturl()


def openai_headers(settings: ModelSettings) -> dict[str, str]:
    """Return the headers that the dialect needs; a server without keys gets none."""
    return {"authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}


def openai_body(call: ModelCall, *, with_usage: bool = True) -> JsonObject:
    """Return the request body; `with_usage` asks for token counts, which some servers do not know."""
    body: JsonObject = {"model": call.settings.model, "messages": call.messages, "stream": True}
    if with_usage:
        body["stream_options"] = {"include_usage": True}
    if call.settings.reasoning:
        body["reasoning_effort"] = call.settings.reasoning
    if call.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
            }
            for tool in call.tools
        ]
    return body


@dataclass(slots=True)
class _PartialCall:
    """A tool call as far as it has come."""

    index: int | None
    id: str
    name: str
    arguments: list[str]


class ToolCalls:
    """Put tool calls together from pieces that name their call by index, by id, or not at all."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: list[_PartialCall] = []

    def add(self, piece: JsonObject) -> None:
        """Take one piece of one call. Raise AnswerFaultError when there are too many calls."""
        function = as_object(piece.get("function"))
        raw_index = piece.get("index")
        index = raw_index if isinstance(raw_index, int) else None
        call_id, name = as_text(piece.get("id")), as_text(function.get("name"))
        call = self._find(index, call_id, name)
        if call is None:
            if len(self._calls) >= CALLS_LIMIT:
                raise AnswerFaultError("bad_response", f"its answer makes more than {CALLS_LIMIT} tool calls")
            call = _PartialCall(index, call_id, "", [])
            self._calls.append(call)
        call.id = call.id or call_id
        if name != call.name:
            call.name += name
        call.arguments.append(_arguments_text(function.get("arguments")))

    def _find(self, index: int | None, call_id: str, name: str) -> _PartialCall | None:
        """Return the call that a piece continues, or None when it begins one."""
        if call_id:
            for call in self._calls:
                if call.id == call_id and call.index == index:
                    return call
        if index is not None:
            same = [call for call in self._calls if call.index == index]
            begins_another = same and call_id and same[-1].id and same[-1].id != call_id and name
            return same[-1] if same and not begins_another else None
        return self._calls[-1] if self._calls and not call_id and not name else None

    def result(self) -> list[JsonObject]:
        """Return the calls in OpenAI's shape, each with an id of its own. Raise AnswerFaultError for a nameless one."""
        seen: set[str] = set()
        result = []
        for call in self._calls:
            if not call.name or len(call.name) > NAME_LIMIT:
                raise AnswerFaultError("bad_response", "its answer calls a tool without a usable name")
            unique = call.id if 0 < len(call.id) <= NAME_LIMIT and call.id not in seen else f"call_{uuid.uuid4().hex[:16]}"
            seen.add(unique)
            function = {"name": call.name, "arguments": "".join(call.arguments) or "{}"}
            result.append({"id": unique, "type": "function", "function": function})
        return result


class OpenAIReader:
    """Read the events of one streamed answer, or one whole answer."""

    __slots__ = ("_calls", "_reason", "_seen", "_texts", "_usage", "complete")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._calls = ToolCalls()
        self._reason = ""
        self._seen = False
        self._usage: JsonObject = {}
        self.complete = False
        """Nothing more is to come; never here, because usage follows the finish reason."""

    @property
    def finished(self) -> bool:
        """True once the answer says why it ended: what comes after may be missed."""
        return bool(self._reason)

    def take(self, event: JsonObject) -> str:
        """Take an event (or a whole answer) and return the text that it adds. Raise AnswerFaultError for an error object."""
        if event.get("error") or event.get("object") == "error":
            raise fault_of(event.get("error") or event)
        self._usage = as_object(event.get("usage")) or self._usage
        added = ""
        for choice in as_objects(event.get("choices")):
            if choice.get("index", 0) in {0, None}:
                self._seen = True
                added += self._take_choice(choice)
        return added

    def _take_choice(self, choice: JsonObject) -> str:
        """Take the one choice of an event and return its text."""
        delta = as_object(choice.get("delta")) or as_object(choice.get("message"))
        text = _content_text(delta.get("content")) + as_text(delta.get("refusal"))
        self._texts.append(text)
        for piece in as_objects(delta.get("tool_calls")):
            self._calls.add(piece)
        self._reason = as_text(choice.get("finish_reason")) or self._reason
        return text

    def answer(self) -> ModelAnswer:
        """Return the answer as far as it was read. Raise AnswerFaultError when that is none."""
        if not self._seen:
            raise AnswerFaultError("bad_response", "its answer holds no choices")
        usage = Usage(as_count(self._usage.get("prompt_tokens")), as_count(self._usage.get("completion_tokens")), calls=1)
        return make_answer("".join(self._texts), self._calls, _REASONS.get(self._reason, "stop"), usage)


def make_answer(text: str, calls: ToolCalls, reason: str, usage: Usage) -> ModelAnswer:
    """Return an answer in the one normalised shape, whatever dialect it came in."""
    message: JsonObject = {"role": "assistant", "content": text}
    if tool_calls := calls.result():
        message = {"role": "assistant", "content": text or None, "tool_calls": tool_calls}
        reason = "tool_calls" if reason == "stop" else reason
    return ModelAnswer(message, finish_reason=reason, usage=usage)


def _arguments_text(value: Any) -> str:
    """Return a piece of arguments as JSON text; some servers send the object itself."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else as_text(value)


def _content_text(value: Any) -> str:
    """Return the text of content: plain, or the text parts of a list; parts of other types are reasoning and the like."""
    if isinstance(value, list):
        return "".join(as_text(part.get("text")) for part in as_objects(value) if part.get("type") == "text")
    return as_text(value)
