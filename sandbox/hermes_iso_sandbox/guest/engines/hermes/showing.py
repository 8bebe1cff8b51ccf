"""What people see of a turn of hermes-agent: its text as it comes, its tools, and its end, in the gateway's own messages."""

from __future__ import annotations

import time
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.guest.engines.room import DONE_ROOM, TooLargeError, cut, fit, json_size

JsonObject = dict[str, Any]

TEXT_CHARS = 150_000
"""Characters that remain of an answer too long for one frame, even when each of them is escaped."""
ROOM = 32_768
"""Bytes of a turn's end that are left for the history beside the longest answer."""
PREVIEW = 200


class Showing:
    """Hands on what one AIAgent does: it has that tell of it."""

    def __init__(self, talk: Talk, agent: Any) -> None:
        self._talk = talk
        self._agent = agent
        self._partial: list[str] = []
        self._began: dict[str, float] = {}
        self._drain = agent._drain_pending_steer
        self._waiting = self._held = 0
        agent.stream_delta_callback = self._delta
        agent.tool_start_callback = self._called
        agent.tool_complete_callback = self._returned
        agent.status_callback = self._status
        agent._drain_pending_steer = self._drained

    def told(self, text: str) -> None:
        """Take in what the user says to the running turn."""
        self._waiting += 1
        self._agent.steer(text)

    def done(self, result: JsonObject) -> wire.TurnDone:
        """Return the turn's end. Raises TurnFault when hermes-agent gave it up."""
        interrupted = bool(result.get("interrupted"))
        text = str(result.get("final_response") or "")
        if interrupted:
            text = "".join(self._partial) or text
        elif result.get("failed") or not text:
            said = " ".join(str(result.get("error") or text).split())[:400]
            raise TurnFault("bad_response", said or "hermes-agent ended the turn without an answer.")
        if json_size(text) > DONE_ROOM - ROOM:
            text = cut(text, TEXT_CHARS)
        if self._held and not result.get("pending_steer"):
            self._taken()
        return wire.TurnDone(text, _history(result.get("messages") or [], text), interrupted=interrupted)

    def _delta(self, text: str | None) -> None:
        """Pass on a piece of the answer; None is the end of what was said before tools.

        Hermes begins what follows tools with an empty line, whether anything came before. The host sets two texts apart itself.
        """
        if text is None:
            self._partial.clear()
        elif text := text if self._partial else text.lstrip("\n"):
            self._partial.append(text)
            self._talk.send(wire.TextDelta(text))

    def _called(self, call_id: str, name: str, arguments: Any, *_: Any) -> None:
        """Tell that a tool starts."""
        self._began[str(call_id)] = time.monotonic()
        self._talk.send(wire.ToolCalled(str(call_id), str(name), _preview(arguments)))

    def _status(self, kind: str, text: str) -> None:  # noqa: ARG002  # Hermes' form
        """Tell how the turn goes on."""
        self._talk.send(wire.Status(str(text)[:PREVIEW]))

    def _returned(self, call_id: str, name: str, arguments: Any, result: Any, *_: Any) -> None:  # noqa: ARG002  # Hermes' form
        """Tell that a tool ended."""
        seconds = time.monotonic() - self._began.pop(str(call_id), time.monotonic())
        failed = isinstance(result, str) and result.lstrip().startswith('{"error"')
        self._talk.send(wire.ToolReturned(str(call_id), str(name), not failed, round(seconds, 6)))

    def _drained(self) -> str | None:
        """Give the agent what it was told. What it can't use yet it puts back; what it does not put back it has taken in."""
        held, put_back = self._held, bool(self._agent._pending_steer) and not self._waiting
        text: str | None = self._drain()
        if held and not put_back and not text:
            self._taken()
            held = 0
        self._held, self._waiting = (held + self._waiting, 0) if text else (0, self._waiting)
        return text

    def _taken(self) -> None:
        """Tell that all of what was held is part of the conversation."""
        for _ in range(self._held):
            self._talk.send(wire.SteerTaken())
        self._held = 0


def _preview(arguments: Any) -> str:
    """Return a short text of a tool's arguments."""
    if isinstance(arguments, dict):
        arguments = next((value for value in arguments.values() if isinstance(value, str)), "")
    return " ".join(str(arguments).split())[:PREVIEW]


def _history(messages: list[JsonObject], text: str) -> list[JsonObject]:
    """Return what the gateway's copy of the session gains: what came after the user's last message, shortened to fit."""
    last = max((number for number, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    new = [_plain(message) for message in messages[last + 1 :] if message.get("role") in ("assistant", "tool")]
    if not new or new[-1]["role"] != "assistant" or new[-1].get("tool_calls"):
        new.append({"role": "assistant", "content": text})
    try:
        return fit(new, DONE_ROOM - json_size(text))
    except TooLargeError:
        return [{"role": "assistant", "content": cut(text, PREVIEW)}]


def _plain(message: JsonObject) -> JsonObject:
    """Return a message of the keys that the gateway knows."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    if message["role"] == "tool":
        return {"role": "tool", "tool_call_id": str(message.get("tool_call_id") or ""), "content": str(content or "")}
    calls = [
        {"id": call["id"], "type": "function", "function": {key: call["function"][key] for key in ("name", "arguments")}}
        for call in message.get("tool_calls") or ()
    ]
    return (
        {"role": "assistant", "content": content or None, "tool_calls": calls}
        if calls
        else {
            "role": "assistant",
            "content": str(content or ""),
        }
    )
