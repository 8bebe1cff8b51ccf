"""What a tool is: a name, the arguments it takes, the function that does it, and the bench it works at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hermes_iso_sandbox.guest.link import Link

JsonObject: TypeAlias = dict[str, Any]

KINDS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


class ToolError(Exception):
    """A tool can't do what was asked; `result` is what the model is told, at least an `error` in one sentence."""

    def __init__(self, message: str, **more: Any) -> None:
        super().__init__(message)
        self.result: JsonObject = {"error": message, **more}


@dataclass(slots=True)
class Bench:
    """What the tools of one turn share: the link, the working directory that `cd` moves, history, task list once it is used.

    steps_left: how many model calls the host leaves to the turn, once a tool has spent some of them.
    """

    link: Link
    cwd: str
    hermes_home: str
    history: list[JsonObject] = field(default_factory=list)
    todos: list[dict[str, str]] | None = None
    steps_left: int | None = None

    def path(self, path: str) -> str:
        """Return a path that the model named, absolute: `~` is the home, anything relative starts at the working directory."""
        if not path or "\0" in path:
            raise ToolError("The path is empty or holds a NUL character.")
        return os.path.normpath(os.path.join(self.cwd, os.path.expanduser(path)))


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: `kind` as in JSON schema; `choices` where only certain texts will do."""

    kind: str
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the registry holds it. `preview` names the argument that says best what a call is about."""

    name: str
    run: Callable[[Bench, JsonObject], JsonObject]
    arguments: Mapping[str, Argument]
    preview: str = ""

    def check(self, given: JsonObject) -> JsonObject:
        """Return the arguments by name, well typed and without nulls and strangers. Raise ToolError otherwise."""
        taken = {}
        for name, argument in self.arguments.items():
            value = _as_meant(given.get(name), argument.kind)
            if value is None:
                if argument.required:
                    raise ToolError(f"{self.name} needs the argument {name} ({argument.kind}); it is missing.")
                continue
            right = isinstance(value, KINDS[argument.kind]) and (argument.kind == "boolean") == isinstance(value, bool)
            if not right:
                raise ToolError(
                    f"{self.name}: the argument {name} must be of type {argument.kind}, not {type(value).__name__}."
                )
            if argument.choices and value not in argument.choices:
                raise ToolError(f"{self.name}: {name} must be one of {', '.join(argument.choices)}; found {str(value)[:60]!r}.")
            taken[name] = value
        return taken


def _as_meant(value: Any, kind: str) -> Any:
    """Return a value in the type that was meant where that is beyond doubt: models write numbers and lists as text."""
    if isinstance(value, str) and kind in {"integer", "number"}:
        text = value.strip()
        return int(text) if len(text) < 19 and text.lstrip("-").isascii() and text.lstrip("-").isdigit() else value
    if isinstance(value, str) and kind == "boolean":
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    if isinstance(value, str) and kind in {"array", "object"}:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    if isinstance(value, float) and kind == "integer" and value.is_integer() and abs(value) < 1 << 53:
        return int(value)
    return value
