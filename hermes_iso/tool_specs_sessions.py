"""The tool that searches earlier sessions, as a model is told of it."""

from __future__ import annotations

from hermes_iso.tool_spec import ToolSpec, number, struct, text

SESSION_SEARCH = ToolSpec(
    "session_search",
    "Look up what was said in earlier sessions of this chat with this person. With query: the sessions in which all its words"
    ' and "quoted phrases" occur (OR between words widens, word* matches beginnings), each with its beginning, the messages'
    " around the place, and its end. With session_id and around_message_id: more messages around one, to read on. With"
    " session_id alone: that session's first and last messages. Without anything: the sessions used last. It tells what was"
    " said then, not how files or services are now: look at those themselves.",
    struct(
        {
            "query": text("Words to find."),
            "limit": number("Sessions to return (default 3, at most 10).", default=3, minimum=1),
            "sort": text("Order by time rather than by how much was found.", enum=["newest", "oldest"]),
            "session_id": text("The session to read in, as an earlier result named it."),
            "around_message_id": number("The message to read around: match_message_id or the id of a message.", minimum=1),
            "window": number("Messages to show on each side of it (default 5, at most 20).", default=5, minimum=1),
            "role_filter": text("Only messages of user or of assistant; both, with a comma, is the default."),
        }
    ),
)
