"""The tool delegate_task: the host runs the tasks as turns of their own and answers with what came of them."""

from __future__ import annotations

import json

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

PARAMS_BYTES = 60_000
"""Longest call, as JSON: the host ends a turn that sends a longer one."""


def _delegate(bench: Bench, given: JsonObject) -> JsonObject:
    """Hand the tasks over and wait for all of them."""
    size = len(json.dumps(given, ensure_ascii=False).encode("utf-8", "replace"))
    if size > PARAMS_BYTES:
        raise ToolError(
            f"The tasks take {size} bytes and may take {PARAMS_BYTES}: write what is long to a file and name that file."
        )
    answer = bench.link.call("delegate", given)
    bench.steps_left = answer.pop("steps_left", None)
    return answer


TOOLS = (
    Tool(
        "delegate_task",
        _delegate,
        {"goal": Argument("string"), "context": Argument("string"), "toolsets": Argument("array"), "tasks": Argument("array")},
        preview="goal",
    ),
)
