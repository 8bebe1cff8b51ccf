"""The tool session_search: the host looks up what was said in earlier sessions, and knows by itself whose they are."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

QUERY_CHARS = 1_000


def _search(bench: Bench, given: JsonObject) -> JsonObject:
    """Ask the host."""
    for name, value in given.items():
        if isinstance(value, str) and len(value) > QUERY_CHARS:
            raise ToolError(f"{name} has {len(value)} characters and may have {QUERY_CHARS}: a few words are enough.")
        if isinstance(value, int) and value < 0:
            raise ToolError(f"{name} must be 0 or more, not {value}.")
    return bench.link.call("session_search", given)


TOOLS = (
    Tool(
        "session_search",
        _search,
        {
            "query": Argument("string"),
            "limit": Argument("integer"),
            "sort": Argument("string", choices=("newest", "oldest")),
            "session_id": Argument("string"),
            "around_message_id": Argument("integer"),
            "window": Argument("integer"),
            "role_filter": Argument("string"),
        },
        preview="query",
    ),
)
