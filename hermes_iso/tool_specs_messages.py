"""The tool by which an agent writes to another one, or to a chat, as a model is told of it."""

from __future__ import annotations

from hermes_iso.tool_spec import ToolSpec, struct, text

SEND_MESSAGE = ToolSpec(
    "send_message",
    "Write to another agent and get its answer, or write to a chat. list: to whom you can write. send: a message to one of"
    " them. An agent takes a turn of its own for it. It knows nothing of this conversation and has other files, so say"
    " everything that it needs. What it answers is an opinion of its own: check what matters. A chat gets the message as it"
    " stands, beside your answer here; a line MEDIA:/path sends a file of yours with it.",
    struct(
        {
            "action": text("What to do (default: send).", enum=["send", "list"]),
            "target": text(
                "To whom: agent:NAME, origin (the chat that you were asked in), a platform (your home chat there),"
                " PLATFORM:CHAT, PLATFORM:CHAT:THREAD or a name from list."
            ),
            "message": text("What to write."),
        }
    ),
)
