"""The tool cronjob: the host keeps the jobs, which it has to read again before it believes them."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool

_TEXTS = ("job_id", "prompt", "schedule", "name", "deliver", "reason")


def _cronjob(bench: Bench, given: JsonObject) -> JsonObject:
    """Have the host do it."""
    return bench.link.call("cronjob", given)


TOOLS = (
    Tool(
        "cronjob",
        _cronjob,
        {
            "action": Argument(
                "string", required=True, choices=("create", "list", "update", "pause", "resume", "run", "remove")
            ),
            **{name: Argument("string") for name in _TEXTS},
            "repeat": Argument("integer"),
            **{name: Argument("array") for name in ("skills", "enabled_toolsets", "context_from")},
            "model": Argument("object"),
            "include_disabled": Argument("boolean"),
        },
        preview="action",
    ),
)
