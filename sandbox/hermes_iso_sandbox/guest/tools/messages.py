"""The tool send_message: everything about it is decided by the host, which knows who writes."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool


def _send_message(bench: Bench, given: JsonObject) -> JsonObject:
    """Have the host list the agents that take messages of this one, or deliver one and return the answer."""
    return bench.link.call("send_message", given)


TOOLS = (
    Tool(
        "send_message",
        _send_message,
        {
            "action": Argument("string", choices=("send", "list")),
            "target": Argument("string"),
            "message": Argument("string"),
        },
        preview="target",
    ),
)
