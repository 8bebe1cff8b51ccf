"""The tool by which an agent writes to another one, as a model is told of it."""

from __future__ import annotations

from hermes_iso.tool_spec import ToolSpec, struct, text

SEND_MESSAGE = ToolSpec(
    "send_message",
    "Write to another agent and get its answer. list: to whom you can write. send: a message to one of them, which takes a turn"
    " of its own for it. It knows nothing of this conversation and has other files, so say everything that it needs. What it"
    " answers is an opinion of its own: check what matters.",
    struct(
        {
            "action": text("What to do (default: send).", enum=["send", "list"]),
            "target": text("To whom, as agent:NAME."),
            "message": text("What to write."),
        }
    ),
)
