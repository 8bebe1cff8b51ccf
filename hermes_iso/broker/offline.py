"""The built-in offline model: obeys four words, repeats everything else, and needs neither key nor network."""

from __future__ import annotations

import json
from itertools import takewhile

from hermes_iso.broker.calls import PIECE, JsonObject, ModelAnswer, ModelCall, OnText
from hermes_iso.messages import Usage

_USAGE_HINT = 'TOOL needs a name and a JSON object, as in TOOL read_file {"path": "notes.txt"}'
_PIECES = 4
"""Pieces that a short answer is streamed in, so that a client sees a stream."""


async def answer_offline(call: ModelCall, on_text: OnText) -> ModelAnswer:
    """Answer a call by the fixed rules of this module; tokens are counted as words."""
    message = _decide(call)
    text = message["content"] or ""
    for piece in _pieces(text):
        await on_text(piece)
    prompt = sum(len(str(each.get("content") or "").split()) for each in call.messages)
    said = text or message["tool_calls"][0]["function"]["arguments"]
    reason = "tool_calls" if "tool_calls" in message else "stop"
    return ModelAnswer(message, finish_reason=reason, usage=Usage(prompt, len(said.split()), calls=1))


def _decide(call: ModelCall) -> JsonObject:
    """Return the assistant message that the conversation's end asks for."""
    results = list(takewhile(lambda message: message["role"] == "tool", reversed(call.messages)))
    if results:
        return _say("RESULT: " + "\n".join(str(message["content"]) for message in reversed(results)))
    text = next((str(each["content"] or "") for each in reversed(call.messages) if each["role"] == "user"), "")
    word, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if word == "RUN" and rest:
        return _call(call, "terminal", {"command": rest})
    if word == "RUNBG" and rest:
        return _call(call, "terminal", {"command": rest, "background": True})
    if word == "TOOL":
        return _named_call(call, rest)
    about = call.about
    return _say(
        f"agent={about.agent} engine={about.engine} isolation={about.isolation} "
        f"(built-in offline model: no key, no network): {text}"
    )


def _named_call(call: ModelCall, rest: str) -> JsonObject:
    """Return the call that `<name> <json>` spells, or say what is wrong with it."""
    name, _, raw = rest.partition(" ")
    try:
        arguments = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError) as error:
        return _say(f"{_USAGE_HINT}: {error}.")
    if not name or not isinstance(arguments, dict):
        return _say(f"{_USAGE_HINT}.")
    return _call(call, name, arguments)


def _call(call: ModelCall, name: str, arguments: JsonObject) -> JsonObject:
    """Return a tool call, or say that the tool is not offered: the offer is the grant, and this model keeps to it."""
    offered = [tool.name for tool in call.tools]
    if name not in offered:
        return _say(f"The tool {name} is not offered to agent {call.about.agent}; offered: {', '.join(offered) or 'none'}.")
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    one = {"id": f"call_{len(call.messages)}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [one]}


def _say(text: str) -> JsonObject:
    """Return an assistant message of plain text."""
    return {"role": "assistant", "content": text}


def _pieces(text: str) -> list[str]:
    """Cut a text into a few pieces, or into as many as PIECE asks for."""
    size = min(PIECE, max(1, -(-len(text) // _PIECES)))
    return [text[start : start + size] for start in range(0, len(text), size)]
