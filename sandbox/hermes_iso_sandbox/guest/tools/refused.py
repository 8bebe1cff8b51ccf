"""The tool refused: no model is offered it; the host puts it in the place of a call that a hook of the operator refuses."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError


def _refused(bench: Bench, given: JsonObject) -> JsonObject:  # noqa: ARG001  # every tool has this form
    """Tell the model that its call was not made, and why."""
    raise ToolError(f"The call of {given['tool']} was refused and not made: {given['reason']}")


REFUSED = Tool(
    "refused", _refused, {"tool": Argument("string", required=True), "reason": Argument("string", required=True)}, "tool"
)
