"""What a program in a sandbox asks a model: read strictly, checked against the agent's models and tools, else left as it is.

What was checked has to be what the provider reads. So a body that two readers could take in two ways is refused: a key twice, a
key that differs from one of those that are checked in case alone (some servers do not mind the case), another encoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.calls import JsonObject
from hermes_iso.strict_json import JsonError, read_object

Refused = Callable[[str], bool]
"""Says whether policy keeps a tool of this name from the turn."""

_CHECKED = frozenset(
    {"model", "models", "fallbacks", "tools", "tool_choice", "functions", "function_call", "parallel_tool_calls", "stream"}
    | {"background", "mcp_servers", "plugins", "web_search_options", "search_parameters", "enable_search"}
)
_SEARCHES = ("web_search_options", "search_parameters", "enable_search")
"""Keys of a request by which a provider searches the web, without a tool."""
_CONNECTORS = frozenset({"mcp", "mcp_toolset"})
"""Tools by which a provider connects to whatever address the request names: a way out round the agent's egress rules."""
_HOSTED: Mapping[str, str] = {
    "web_search": "web_search",
    "web_search_preview": "web_search",
    "web_fetch": "web_extract",
    "code_interpreter": "execute_code",
    "code_execution": "execute_code",
    "bash": "terminal",
    "shell": "terminal",
    "local_shell": "terminal",
    "computer": "computer_use",
    "computer_use_preview": "computer_use",
    "image_generation": "image_generate",
}
"""Tools that providers run themselves, or describe themselves, and what the same is called in a policy."""
_DATED = re.compile(r"_(\d{8}|\d{4}_\d\d_\d\d)\Z")


class BadBodyError(Exception):
    """A request's body can't go on; its text is a sentence for the guest. `status`: 400, or 403 for a model not allowed."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Question:
    """A body that was checked. removed: names of the tools that were taken out of it; `raw` is as it came."""

    value: JsonObject
    raw: bytes
    settings: ModelSettings
    removed: tuple[str, ...] = ()

    def content(self, settings: ModelSettings) -> bytes:
        """Return what a model is sent: the very bytes that came, unless a tool or the model's name had to change."""
        if not self.removed and self.value["model"] == settings.model:
            return self.raw
        return json.dumps(self.value | {"model": settings.model}, separators=(",", ":")).encode()


def read_question(raw: bytes, models: Mapping[str, ModelSettings], refused: Refused) -> Question:
    """Return the question that a body is. `models`: those that may be named, by their names. Raises BadBodyError."""
    value = _read(raw)
    named = value.get("model")
    settings = models.get(named) if isinstance(named, str) else None
    if settings is None:
        allowed = ", ".join(dict.fromkeys(each.model for each in models.values()))
        if not isinstance(named, str):
            raise BadBodyError(f"The request names no model: write one of {allowed}.")
        raise BadBodyError(f"The model {named[:80]!r} is not one that this agent may use: write one of {allowed}.", 403)
    for key in ("models", "fallbacks"):
        if key in value:
            raise BadBodyError(f"A request names one model: leave out {key!r}.", 403)
    if value.get("background") not in (None, False):
        raise BadBodyError("A request must not go on at its provider after its answer: leave out 'background'.", 403)
    _check_connectors(value)
    value, removed = _without_refused(value, refused)
    return Question(value, raw, settings, removed)


def _read(raw: bytes) -> JsonObject:
    """Return the object in a body. Raises BadBodyError."""
    try:
        value = read_object(raw)
    except JsonError as error:
        raise BadBodyError(f"The request's body {error}.") from None
    for key in value:
        if key not in _CHECKED and key.casefold() in _CHECKED:
            raise BadBodyError(f"The key {key[:40]!r} is written in another case than {key.casefold()!r}: correct it.")
    return value


def _check_connectors(value: JsonObject) -> None:
    """Refuse what has a provider connect to servers of the guest's choice. Raises BadBodyError."""
    tools = value.get("tools")
    kinds = {_kind(tool) for tool in (tools if isinstance(tools, list) else [tools])}
    if "mcp_servers" in value or not kinds.isdisjoint(_CONNECTORS):
        raise BadBodyError("A provider must not connect to MCP servers for a sandbox: leave them out.", 403)


def _without_refused(value: JsonObject, refused: Refused) -> tuple[JsonObject, tuple[str, ...]]:
    """Return a body without the tools that policy refuses, and their names."""
    result, removed = dict(value), set[str]()
    for key in ("tools", "functions"):
        tools = value.get(key)
        if isinstance(tools, list):
            result[key] = [tool for tool in tools if not _refusals(tool, refused)]
            removed |= {name for tool in tools for name in _refusals(tool, refused)}
            if not result[key] and tools:
                del result[key]
    for key in ("tool_choice", "function_call"):
        names = {name for tool in _chosen(value.get(key)) for name in _refusals(tool, refused)}
        removed |= names
        result[key] = _allowed(value[key], refused) if names else value.get(key)
        if result[key] is None:
            del result[key]
    removed |= _remove_searches(result, refused)
    if removed and not result.keys() & {"tools", "functions"}:  # without tools providers take no word about them
        for key in ("tool_choice", "function_call", "parallel_tool_calls"):
            result.pop(key, None)
    return (result, tuple(sorted(removed))) if removed else (value, ())


def _remove_searches(result: JsonObject, refused: Refused) -> set[str]:
    """Take out of a body what has its provider search the web without a tool, if that is refused; return the tool's name."""
    if not refused("web_search"):
        return set()
    found = [key for key in _SEARCHES if result.pop(key, None) is not None]
    plugins = result.get("plugins")
    if isinstance(plugins, list):
        result["plugins"] = [each for each in plugins if not (isinstance(each, dict) and _is_web(each.get("id")))]
        found += ["plugins"] * (len(result["plugins"]) < len(plugins))
    return {"web_search"} if found else set()


def _is_web(plugin: Any) -> bool:
    """Say whether a plugin of OpenRouter's is one of those that reach the web."""
    return isinstance(plugin, str) and plugin.casefold().startswith("web")


def _kind(tool: Any) -> str:
    """Return the kind of a tool, without what only says whose it is or since when it is so; '' where it has none."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    return _DATED.sub("", kind.casefold().rpartition(":")[2]) if isinstance(kind, str) else ""


def _refusals(tool: Any, refused: Refused) -> list[str]:
    """Return those names of a tool that policy refuses. A reader may go by any of them, so one is enough."""
    if not isinstance(tool, dict):
        return []
    function = tool.get("function")
    inner = function.get("name") if isinstance(function, dict) else None
    names = (_HOSTED.get(_kind(tool)), inner, tool.get("name"))
    return list(dict.fromkeys(name for each in names if isinstance(each, str) and refused(name := each.removeprefix("$"))))


def _chosen(choice: Any) -> Iterator[Any]:
    """Yield the tools that a choice is about."""
    yield choice
    if isinstance(choice, dict):
        inner = choice.get("allowed_tools", choice)
        tools = inner.get("tools") if isinstance(inner, dict) else None
        yield from tools if isinstance(tools, list) else ()


def _allowed(choice: Any, refused: Refused) -> Any:
    """Return a choice without refused tools, or None when it names nothing else."""
    if _refusals(choice, refused):
        return None
    inner = choice.get("allowed_tools")
    holder = inner if isinstance(inner, dict) else choice
    left = [tool for tool in holder["tools"] if not _refusals(tool, refused)]
    if not left:
        return None
    return choice | {"allowed_tools": inner | {"tools": left}} if holder is inner else choice | {"tools": left}
