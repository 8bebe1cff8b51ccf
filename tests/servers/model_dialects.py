"""What the model server says, and in which dialect: conversations read, answers written, streamed and not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_WORDS = frozenset(
    [
        "down",
        "cut",
        "badjson",
        "flood",
        "slow",
        "hang",
        "badtool",
        "badargs",
        "call",
        "status",
        "retryafter",
        "leakkey",
        "redirect",
    ]
)


@dataclass(slots=True)
class Conversation:
    """What of a request decides the answer, in either dialect."""

    body: dict[str, Any]
    anthropic: bool
    user_text: str
    results: list[str]
    headers: dict[str, str]

    @property
    def behaviour(self) -> tuple[str, str]:
        """The word that says how to behave, in lower case, and what follows it; the word is empty for an echo."""
        word, _, rest = self.user_text.strip().partition(" ")
        if word.isupper() and word.lower() in _WORDS:
            return word.lower(), rest.strip()
        name, _, rest = str(self.body.get("model", "")).partition("-")
        return (name, rest.replace("-", " ")) if name in _WORDS else ("", "")


def read_conversation(body: dict[str, Any], headers: dict[str, str], *, anthropic: bool) -> Conversation:
    """Read what matters from either dialect: the last user text, and the tool results after it."""
    user_text, results = "", []
    for message in body.get("messages", []):
        blocks = message.get("content") or ""
        parts = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        if message["role"] == "tool":
            results.append("".join(part["text"] for part in parts))
        elif message["role"] == "user":
            results += [str(part["content"]) for part in parts if part["type"] == "tool_result"]
            texts = [part["text"] for part in parts if part["type"] == "text"]
            if texts:
                user_text, results = texts[-1], []
    return Conversation(body, anthropic, user_text, results, headers)


def decide(talk: Conversation) -> tuple[dict[str, str] | None, str]:
    """Return the tool call to make (name, arguments), or the text to say."""
    word, rest = talk.behaviour
    if word == "badtool":
        return {"name": "no_such_tool", "arguments": "{}"}, ""
    if talk.results:
        return None, "RESULT: " + "\n".join(talk.results)
    if word in {"call", "badargs"}:
        name, _, arguments = rest.partition(" ")
        return {"name": name, "arguments": '{"broken": ' if word == "badargs" else arguments or "{}"}, ""
    return None, f"echo: {talk.user_text}"


def _usage(talk: Conversation, text: str) -> tuple[int, int]:
    """Count words, as if they were tokens."""
    return len(json.dumps(talk.body.get("messages", [])).split()), len(text.split()) or 1


def openai_whole(talk: Conversation, call: dict[str, str] | None, text: str) -> dict[str, Any]:
    """Return an unstreamed completion."""
    message: dict[str, Any] = {"role": "assistant", "content": None if call else text, "refusal": None}
    if call:
        message["tool_calls"] = [{"id": _call_id(talk), "type": "function", "function": call}]
    prompt, completion = _usage(talk, text)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop", "logprobs": None}
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return _openai_head(talk, "chat.completion") | {"choices": [choice], "usage": usage}


def _openai_head(talk: Conversation, kind: str) -> dict[str, Any]:
    """Return the keys that completions and chunks share."""
    return {"id": "chatcmpl-test", "object": kind, "created": 1700000000, "model": talk.body.get("model", "test")}


def openai_events(talk: Conversation, call: dict[str, str] | None, text: str) -> list[str]:
    """Return the events of a streamed completion."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None if call else ""}]
    if call:
        function = {"name": call["name"], "arguments": ""}
        deltas.append({"tool_calls": [{"index": 0, "id": _call_id(talk), "type": "function", "function": function}]})
        deltas += [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _pieces(call["arguments"])]
    else:
        deltas += [{"content": piece} for piece in _pieces(text)]
    head = _openai_head(talk, "chat.completion.chunk")
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}]})
    if talk.body.get("stream_options", {}).get("include_usage"):
        prompt, completion = _usage(talk, text)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        chunks.append(head | {"choices": [], "usage": usage})
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def anthropic_whole(talk: Conversation, call: dict[str, str] | None, text: str) -> dict[str, Any]:
    """Return an unstreamed message."""
    prompt, completion = _usage(talk, text)
    block: dict[str, Any] = {"type": "text", "text": text}
    if call:
        block = {"type": "tool_use", "id": _call_id(talk), "name": call["name"], "input": _input(call["arguments"])}
    head = {"id": "msg_test", "type": "message", "role": "assistant", "model": talk.body.get("model", "test")}
    end = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    return head | {"content": [block]} | end | {"usage": {"input_tokens": prompt, "output_tokens": completion}}


def anthropic_events(talk: Conversation, call: dict[str, str] | None, text: str) -> list[str]:
    """Return the events of a streamed message."""
    prompt, completion = _usage(talk, text)
    head = {"id": "msg_test", "type": "message", "role": "assistant", "model": talk.body.get("model", "test"), "content": []}
    head |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": prompt, "output_tokens": 1}}
    block: dict[str, Any] = {"type": "text", "text": ""}
    deltas: list[dict[str, str]] = [{"type": "text_delta", "text": piece} for piece in _pieces(text)]
    if call:
        block = {"type": "tool_use", "id": _call_id(talk), "name": call["name"], "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(call["arguments"])]
    events: list[dict[str, Any]] = [{"type": "message_start", "message": head}]
    events.append({"type": "content_block_start", "index": 0, "content_block": block})
    events += [{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas]
    events.append({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": completion}})
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def _call_id(talk: Conversation) -> str:
    """Return an id that is new in its conversation."""
    return f"call_test_{len(talk.body.get('messages', []))}"


def _pieces(text: str) -> list[str]:
    """Cut a text into three to four pieces."""
    size = max(1, len(text) // 3)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _input(arguments: str) -> dict[str, Any]:
    """Return arguments as the object that an unstreamed answer holds; what is no JSON can only be streamed."""
    try:
        return dict(json.loads(arguments))
    except ValueError:
        return {}
