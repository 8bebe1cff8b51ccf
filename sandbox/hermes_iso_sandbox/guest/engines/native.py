"""The native engine: ask the model, do what it calls for, until it answers, runs out of calls or is interrupted."""

from __future__ import annotations

import os
import time
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.prompt import system_prompt
from hermes_iso_sandbox.guest.engines.room import DONE_ROOM, MODEL_ROOM, TooLargeError, cut, fit, json_size
from hermes_iso_sandbox.guest.link import CallError, Interrupted, Link
from hermes_iso_sandbox.guest.tools.registry import Outcome, Registry, clean
from hermes_iso_sandbox.guest.tools.tool import Bench

JsonObject = dict[str, Any]

UNKNOWN_LIMIT = 3
"""Answers in a row that call nothing but unknown tools, after which the model is given up."""
SENT_LIMIT = 56 << 20
"""Bytes of model calls after which the turn is brought to an end: the host takes 64 MiB of a turn and no more."""
CALLS_LIMIT = 64
"""Calls of one answer that are done; the others are as if they had not been made. The host takes so many events and no more."""
NAME_LENGTH = 256
INTERRUPTED = "[The turn was interrupted.]"
TEXT_CHARS = 150_000
"""Characters that remain of an answer too long for one frame, even when each of them is escaped."""
HISTORY_CHARS = 2_000
"""Characters of such an answer that the history keeps."""
DONE_SLACK = 32_768
"""Bytes of a turn's end that are left for the history beside the longest answer."""
NUDGE = "Your last answer was empty. Answer now, in words."
SUM_UP = (
    "You have used up the steps of this turn. Call no more tools. Say in a few sentences what you have done and found so far,"
    " and what is left to do."
)


def take_turn(request: wire.TurnRequest, link: Link) -> wire.TurnDone:
    """Answer one request. Raises TurnFault when the turn can't be finished."""
    turn = _Turn(request, link)
    try:
        return turn.run()
    except Interrupted:
        return turn.interrupted()


class _Turn:
    """The state of one turn: the conversation as the model sees it, and which part of it is new."""

    def __init__(self, request: wire.TurnRequest, link: Link) -> None:
        cwd = os.getcwd()
        home = os.environ.get("HERMES_HOME", "/hermes")
        self._link = link
        self._bench = Bench(link, cwd, home, request.history)
        self._registry = Registry(request.tools, self._bench)
        self._calls = max(1, request.max_iterations)
        system = system_prompt(request.persona, request.instructions, cwd=cwd, hermes_home=home)
        self._messages = [
            {"role": "system", "content": clean(system)},
            *request.history,
            {"role": "user", "content": clean(request.text)},
        ]
        self._old = len(self._messages)
        self._pending: list[JsonObject] = []
        self._text = ""
        self._partial = ""
        self._sent = 0

    def run(self) -> wire.TurnDone:
        """Go on until the model answers without a call."""
        unknown, empty = 0, False
        while self._calls > 0 and self._sent < SENT_LIMIT:
            self._calls -= 1
            if not self._ask(NUDGE if empty else None):
                if empty:
                    raise TurnFault("bad_response", "The model answered twice with neither text nor a tool call.")
                empty = True
                continue
            if not self._pending:
                if self._take_told():
                    continue
                return self._done(self._text)
            names = [call["function"]["name"] for call in self._pending]
            empty, unknown = False, 0 if any(name in self._registry for name in names) else unknown + 1
            if unknown == UNKNOWN_LIMIT:
                raise TurnFault("bad_response", f"The model keeps calling the tool {names[0][:100]!r}, which it was not given.")
            while self._pending:
                self._use(self._pending[0])
        return self._sum_up()

    def interrupted(self) -> wire.TurnDone:
        """End an interrupted turn with what there is of its answer; every call keeps a result, as models want it."""
        for call in self._pending:
            self._add_result(call["id"], '{"error": "interrupted before it was done"}')
        self._messages.append({"role": "assistant", "content": self._partial or INTERRUPTED})
        return self._done(self._text, interrupted=True)

    def _ask(self, extra: str | None = None) -> bool:
        """Call the model and take in its answer: its text, and the calls that are to be done. False when it is empty.

        extra: said to the model as the user at the end, and forgotten afterwards.
        """
        if self._link.poll_interrupt():
            raise Interrupted
        self._take_told()
        messages = [*self._messages, {"role": "user", "content": extra}] if extra else self._messages
        try:
            fitted = fit(messages, MODEL_ROOM)
        except TooLargeError as error:
            sentence = f"The conversation takes {error.size} bytes and a model call may have {MODEL_ROOM}: begin a new one."
            raise TurnFault("too_large", sentence) from None
        self._sent += json_size(fitted)
        try:
            answer = self._link.call("model", {"messages": fitted}, self._take_chunk)
        except CallError as error:
            raise TurnFault(error.kind, error.message) from None
        message = _checked(answer)
        self._text, self._partial = message["content"] or "", ""
        self._pending = list(message.get("tool_calls", ()))
        if not self._text.strip() and not self._pending:
            return False
        self._messages.append(message)
        return True

    def _take_told(self) -> bool:
        """Add what the user said meanwhile to the conversation; say whether there was anything."""
        told = self._link.take_told()
        for text in told:
            self._messages.append({"role": "user", "content": clean(text)})
            self._link.send(wire.SteerTaken())
        return bool(told)

    def _take_chunk(self, data: JsonObject) -> None:
        """Pass on a piece of the answer as it comes."""
        text = clean(str(data.get("text", "")))
        if text:
            self._partial += text
            self._text = self._partial
            self._link.send(wire.TextDelta(text))

    def _use(self, call: JsonObject) -> None:
        """Do the first of the pending calls, and tell the host before and after."""
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        if self._link.poll_interrupt():
            raise Interrupted
        self._link.send(wire.ToolCalled(call["id"], name, self._registry.preview(name, arguments)))
        started = time.monotonic()
        outcome = Outcome("", ok=False)
        try:
            outcome = self._registry.run(name, arguments)
        finally:
            self._link.send(wire.ToolReturned(call["id"], name, outcome.ok, round(time.monotonic() - started, 6)))
        self._add_result(call["id"], outcome.text)
        self._pending.pop(0)
        if self._bench.steps_left is not None:
            self._calls = min(self._calls, self._bench.steps_left)

    def _add_result(self, call_id: str, text: str) -> None:
        """Add the result of a call to the conversation."""
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": text})

    def _sum_up(self) -> wire.TurnDone:
        """Ask for a last word when the steps are used up; one of our own must do where there is none."""
        used = "The turn used up its steps before it was finished."
        try:
            text = used if not self._ask(SUM_UP) else self._messages.pop()["content"] or used
        except TurnFault as fault:
            text = f"{used} A summary failed too: {fault.message}"
        self._pending = []
        self._messages.append({"role": "assistant", "content": text})
        return self._done(text)

    def _done(self, text: str, *, interrupted: bool = False) -> wire.TurnDone:
        """Return the turn's end in a form that fits in one frame: the text is in it twice."""
        if json_size(text) > DONE_ROOM - DONE_SLACK:
            text = cut(text, TEXT_CHARS)
        size = json_size(text)
        new = self._messages[self._old :]
        if 2 * size > DONE_ROOM:
            new = [*new[:-1], {**new[-1], "content": cut(text, HISTORY_CHARS)}]
        try:
            fitted = fit(new, DONE_ROOM - size)
        except TooLargeError:
            fitted = [{"role": "assistant", "content": cut(text, HISTORY_CHARS)}]
        return wire.TurnDone(text, fitted, interrupted)


def _checked(answer: JsonObject) -> JsonObject:
    """Return the assistant's message of a broker's answer in the one form that a history may have."""
    said = answer.get("message")
    if not isinstance(said, dict):
        raise TurnFault("bad_response", "The model's answer holds no message.")
    message: JsonObject = {"role": "assistant", "content": clean(said["content"]) if said.get("content") else None}
    calls: dict[str, JsonObject] = {}
    for call in (said.get("tool_calls") or ())[:CALLS_LIMIT]:
        name, arguments = str(call["function"]["name"]), str(call["function"]["arguments"])
        call_id = clean(str(call.get("id") or ""))[:NAME_LENGTH]
        if not call_id or call_id in calls:
            call_id = f"call_{len(calls) + 1}_{os.urandom(4).hex()}"
        function = {"name": clean(name)[:NAME_LENGTH] or "unnamed", "arguments": clean(arguments)}
        calls[call_id] = {"id": call_id, "type": "function", "function": function}
    return {**message, "tool_calls": list(calls.values())} if calls else message
