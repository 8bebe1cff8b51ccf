"""The built-in offline model as a chat completion: the same rules that answer a turn, for a program in its sandbox."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from hermes_iso.broker.budgets import check_messages
from hermes_iso.broker.calls import JsonObject, ModelAnswer, ModelCall, OfflineFacts
from hermes_iso.broker.events import as_object, as_objects, as_text
from hermes_iso.broker.model_host.asking import Question
from hermes_iso.broker.offline import answer_offline
from hermes_iso.messages import Usage


@dataclass(frozen=True, slots=True)
class _Offered:
    """A tool that a program offers; the built-in model looks at its name alone."""

    name: str
    description: str = ""
    parameters: JsonObject = field(default_factory=dict)


async def complete_offline(question: Question, about: OfflineFacts, deadline: float) -> tuple[bytes, bool, Usage]:
    """Return the answer's bytes, whether they are a stream of events, and its cost. Raises ModelError for bad messages."""
    value = question.value
    names = [as_text(as_object(tool.get("function")).get("name")) for tool in as_objects(value.get("tools"))]
    offered = tuple(_Offered(name) for name in names if name and name not in question.removed)
    pieces: list[str] = []

    async def on_text(text: str) -> None:
        pieces.append(text)

    call = ModelCall(question.settings, check_messages(value.get("messages")), offered, deadline, about)
    answer = await answer_offline(call, on_text)
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": question.settings.model}
    if value.get("stream") is True:
        with_usage = as_object(value.get("stream_options")).get("include_usage") is True
        return _events(head, answer, pieces, with_usage=with_usage), True, answer.usage
    choice = {"index": 0, "message": answer.message, "logprobs": None, "finish_reason": answer.finish_reason}
    whole = head | {"object": "chat.completion", "choices": [choice], "usage": _usage(answer)}
    return _json(whole), False, answer.usage


def _events(head: JsonObject, answer: ModelAnswer, pieces: list[str], *, with_usage: bool) -> bytes:
    """Return the events of a streamed answer."""
    deltas: list[JsonObject] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    calls = answer.message.get("tool_calls", ())
    deltas += [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(calls)]
    choices: list[Any] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}])
    chunks = [head | {"object": "chat.completion.chunk", "choices": each} for each in choices]
    if with_usage:
        chunks.append(head | {"object": "chat.completion.chunk", "choices": [], "usage": _usage(answer)})
    return b"".join(b"data: " + each + b"\n\n" for each in (*map(_json, chunks), b"[DONE]"))


def _usage(answer: ModelAnswer) -> dict[str, int]:
    prompt, completion = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _json(value: JsonObject) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
