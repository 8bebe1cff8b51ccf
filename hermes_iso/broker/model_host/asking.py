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
)
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
_DATED = re.compile(r"_\d{8}\Z")


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


def _without_refused(value: JsonObject, refused: Refused) -> tuple[JsonObject, tuple[str, ...]]:
    """Return a body without the tools that policy refuses, and their names."""
    result, removed = dict(value), set[str]()
    for key in ("tools", "functions"):
        tools = value.get(key)
        if isinstance(tools, list):
            names = [_tool_name(tool) for tool in tools]
            result[key] = [tool for tool, name in zip(tools, names, strict=True) if not refused(name)]
            removed |= {name for name in names if refused(name)}
            if not result[key] and tools:
                del result[key]
    chosen = [key for key in ("tool_choice", "function_call") if any(map(refused, _named(value.get(key))))]
    removed |= {name for key in chosen for name in _named(value.get(key)) if refused(name)}
    for key in chosen:
        result[key] = _allowed(result[key], refused)
        if result[key] is None:
            del result[key]
    if removed and not result.keys() & {"tools", "functions"}:  # without tools providers take no word about them
        for key in ("tool_choice", "function_call", "parallel_tool_calls"):
            result.pop(key, None)
    return (result, tuple(sorted(removed))) if removed else (value, ())


def _tool_name(tool: Any) -> str:
    """Return what a policy calls a tool of a request."""
    if not isinstance(tool, dict):
        return ""
    function = tool.get("function")
    kind = tool.get("type")
    if isinstance(function, dict) and isinstance(function.get("name"), str):
        return str(function["name"])
    hosted = _HOSTED.get(_DATED.sub("", kind)) if isinstance(kind, str) else None
    if hosted is not None:
        return hosted
    name = tool.get("name")
    return name if isinstance(name, str) else ""


def _named(choice: Any) -> Iterator[str]:
    """Yield the tools that a choice names."""
    yield _tool_name(choice)
    if isinstance(choice, dict):
        inner = choice.get("allowed_tools", choice)
        tools = inner.get("tools") if isinstance(inner, dict) else None
        yield from map(_tool_name, tools if isinstance(tools, list) else ())


def _allowed(choice: Any, refused: Refused) -> Any:
    """Return a choice without refused tools, or None when it names nothing else."""
    if refused(_tool_name(choice)):
        return None
    inner = choice.get("allowed_tools")
    holder = inner if isinstance(inner, dict) else choice
    left = [tool for tool in holder["tools"] if not refused(_tool_name(tool))]
    if not left:
        return None
    return choice | {"allowed_tools": inner | {"tools": left}} if holder is inner else choice | {"tools": left}
