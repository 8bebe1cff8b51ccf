"""The tool todo: the task list of a session. It lives in the turn; a later turn finds it in the history, as the last result."""

from __future__ import annotations

import json
from typing import Any

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

STATUSES = ("pending", "in_progress", "completed", "cancelled")
MAX_ITEMS = 256
MAX_CONTENT = 4_000
"""Characters of one item: a task is a short text."""


def _todo(bench: Bench, given: JsonObject) -> JsonObject:
    """Replace or extend the list; without `todos` only show it."""
    if bench.todos is None:
        bench.todos = last_list(bench.history)
    if "todos" in given:
        known = {item["id"]: item for item in bench.todos} if given.get("merge") else {}
        for number, value in enumerate(given["todos"], start=1):
            item = _item(number, value)
            known[item["id"]] = {**known.get(item["id"], {}), **item}
        bench.todos = [_complete(item) for item in known.values()][:MAX_ITEMS]
    counts = {status: sum(item["status"] == status for item in bench.todos) for status in STATUSES}
    return {"todos": bench.todos, "summary": {"total": len(bench.todos), **counts}}


def _item(number: int, value: Any) -> dict[str, str]:
    """Return what one entry of a call says. Raise ToolError when it is no item."""
    if not isinstance(value, dict):
        raise ToolError(f"Item {number} of todos must be an object with id, content and status, not {type(value).__name__}.")
    item = {name: str(value[name]).strip() for name in ("id", "content", "status") if value.get(name) is not None}
    item = {name: text for name, text in item.items() if text}
    if "id" not in item:
        raise ToolError(f"Item {number} of todos has no id.")
    if "status" in item and item["status"] not in STATUSES:
        raise ToolError(f"Item {number} of todos: status must be one of {', '.join(STATUSES)}.")
    if len(item.get("content", "")) > MAX_CONTENT:
        item["content"] = item["content"][: MAX_CONTENT - 1] + "…"
    return item


def _complete(item: dict[str, str]) -> dict[str, str]:
    """Return an item with all three keys."""
    return {"id": item["id"], "content": item.get("content", "(no description)"), "status": item.get("status", "pending")}


def last_list(history: list[JsonObject]) -> list[dict[str, str]]:
    """Return the task list as the last todo call of a history left it; empty without one."""
    results = {message.get("tool_call_id"): message.get("content") for message in history if message.get("role") == "tool"}
    for message in reversed(history):
        for call in reversed(message.get("tool_calls") or []):
            if call["function"]["name"] == "todo" and (found := _listed(results.get(call["id"]))) is not None:
                return found
    return []


def _listed(result: Any) -> list[dict[str, str]] | None:
    """Return the list in a result's text, None where there is none: a history may come from a client."""
    try:
        todos = json.loads(result)["todos"]
        return [_complete(_item(number, each)) for number, each in enumerate(todos[:MAX_ITEMS], start=1)]
    except (ValueError, TypeError, KeyError, RecursionError, ToolError):
        return None


TOOLS = (Tool("todo", _todo, {"todos": Argument("array"), "merge": Argument("boolean")}, preview="todos"),)
