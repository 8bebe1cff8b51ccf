"""ToolHooks: what hooks are asked and told of the tools of one turn, and a model's answer without what they refuse."""

from __future__ import annotations

import json
from typing import Any

from hermes_iso.errors import TurnError
from hermes_iso.hooks.context import about_turn
from hermes_iso.hooks.hook import PRE_TOOL_CALL
from hermes_iso.hooks.hooks import Hooks
from hermes_iso.sessions import Turn

__all__ = ["REFUSED", "Hooks", "ToolHooks"]

JsonObject = dict[str, Any]

REFUSED = "refused"
"""The tool that stands in for a refused call: all it does is to give the model the refusal as its result."""
DONE_HERE = {
    "delegate": "delegate_task",
    **{name: name for name in ("send_message", "session_search", "cronjob")},
}
"""The broker methods that do what a tool is there for, and that tool."""
UNCALLED = 50
"""Calls of these that hooks are asked about although no model made them so: each keeps the hooks' one process busy."""
TOLD_CALLS = 500
"""Tool calls of a turn that hooks are told of: a guest can make up as many as it likes."""


class ToolHooks:
    """The hooks as the tools of one turn meet them."""

    def __init__(self, hooks: Hooks, turn: Turn) -> None:
        self._hooks = hooks
        self._heard = hooks.wants(PRE_TOOL_CALL, "agent:step", "post_tool_call")
        self._about = about_turn(turn) if self._heard else {}
        self._calls: dict[str, JsonObject] = {}
        self._passed_on: list[tuple[str, JsonObject]] = []
        self._uncalled = 0
        self._told = 0
        self._steps = 0

    async def without_refused(self, message: JsonObject) -> JsonObject:
        """Return a model's message with each tool call that a hook refuses replaced, so that no guest ever sees it."""
        calls = message.get("tool_calls")
        if not calls or not self._heard:
            return message
        names = [str(call["function"]["name"]) for call in calls]
        self._steps += 1
        await self._hooks.tell("agent_stepped", {**self._about, "iteration": self._steps, "tool_names": names})
        if self._hooks.wants(PRE_TOOL_CALL):
            calls = [await self._passed(call) for call in calls]
        if self._hooks.wants("post_tool_call"):
            self._remember(calls)
        return {**message, "tool_calls": calls}

    async def check_asked(self, method: str, params: JsonObject) -> None:
        """Check that a guest may have the gateway do this: by a call of its model's that passed, else the hooks are asked.

        Whoever has taken over the guest's process needs no model to ask. Raises TurnError(not_granted) when a hook refuses.
        """
        if method not in DONE_HERE or not self._hooks.wants(PRE_TOOL_CALL):
            return
        call = (DONE_HERE[method], params)
        if call in self._passed_on:
            self._passed_on.remove(call)
            return
        self._uncalled += 1
        if self._uncalled > UNCALLED:
            raise TurnError("too_many", "This turn has asked for too much that its model did not call for.")
        why = await self._hooks.refusal({**self._about, "tool_call_id": "", "tool_name": call[0], "args": params})
        if why is not None:
            raise TurnError("not_granted", f"This was refused: {why}.")

    async def returned(self, call_id: str, name: str, *, ok: bool, seconds: float) -> None:
        """Tell that a tool ended, by what the guest says of it."""
        self._told += 1
        if self._heard and self._told <= TOLD_CALLS:
            how = {"status": "ok" if ok else "error", "duration_ms": round(seconds * 1000)}
            call = self._calls.pop(call_id, _described({"id": call_id, "function": {"name": name, "arguments": ""}}))
            await self._hooks.tell("tool_returned", {**self._about, **call, **how})

    async def _passed(self, call: JsonObject) -> JsonObject:
        """Return a call as it is, or what stands in for it when a hook refuses."""
        described = _described(call)
        why = await self._hooks.refusal({**self._about, **described})
        if why is None:
            if described["tool_name"] in DONE_HERE.values():
                self._passed_on = [*self._passed_on[1 - TOLD_CALLS :], (described["tool_name"], described["args"])]
            return call
        arguments = json.dumps({"tool": described["tool_name"], "reason": why}, ensure_ascii=False)
        return {**call, "function": {"name": REFUSED, "arguments": arguments}}

    def _remember(self, calls: list[JsonObject]) -> None:
        """Keep what was called under its id, for when it returns."""
        for call in calls[: TOLD_CALLS - len(self._calls)]:
            self._calls[str(call.get("id"))] = _described(call)


def _described(call: JsonObject) -> JsonObject:
    """Return a call as hooks are told of it; arguments that are no JSON object are none, as the guest reads them."""
    try:
        arguments = json.loads(call["function"]["arguments"] or "{}")
    except (ValueError, RecursionError):
        arguments = {}
    return {
        "tool_call_id": str(call.get("id")),
        "tool_name": call["function"]["name"],
        "args": arguments if isinstance(arguments, dict) else {},
    }
