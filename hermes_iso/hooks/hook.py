"""Hook: a piece of the operator's code and the events that it is called for; and every event there is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

SELECT_AGENT = "select_agent"
"""Asked once for each message that a route, or the default, has given to an agent."""
PRE_TOOL_CALL = "pre_tool_call"
"""Asked before each tool call of a model reaches the agent's process."""
MOMENTS: dict[str, tuple[str, ...]] = {
    "gateway_started": ("gateway:startup",),
    "session_started": ("session:start", "on_session_start"),
    "agent_started": ("agent:start",),
    "agent_stepped": ("agent:step",),
    "tool_returned": ("post_tool_call",),
    "agent_ended": ("agent:end", "on_session_end"),
    "session_reset": ("session:end", "on_session_finalize", "session:reset", "on_session_reset"),
}
"""What is told: the moment, and the events that it is, by the names of Hermes' file hooks and of its plugins."""
COMMAND = "command:"
"""What the event of a slash command begins with; `command:*` is all of them."""
EVENTS = frozenset({SELECT_AGENT, PRE_TOOL_CALL}).union(*MOMENTS.values())


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook. A hook of the home has a `directory` below `<home>/hooks` and names its events in its HOOK.yaml.

    An installed one has an `entry` (module:function), the directory `packages` where that is installed, and no events: which
    they are is known once it was loaded.
    """

    name: str
    events: frozenset[str] = frozenset()
    directory: str = ""
    entry: str = ""
    packages: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.entry or f'hooks/{self.directory}'})"


def is_event(name: str) -> bool:
    """Return whether hooks are called for an event of this name."""
    return name in EVENTS or (name.startswith(COMMAND) and len(name) > len(COMMAND))


def takes(events: Collection[str], event: str) -> bool:
    """Return whether a hook that names these events is called for one."""
    return event in events or (event.startswith(COMMAND) and f"{COMMAND}*" in events)
