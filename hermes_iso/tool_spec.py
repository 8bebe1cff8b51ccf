"""ToolSpec: a tool as a model is told of it, and the few schemas that its arguments are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: the name it is called by, what it does in words for the model, and the JSON schema of its arguments.

    executes: it starts programs. writes: it writes where the agent works; notes that the engine keeps are no such place.
    asks_hosts: it reaches hosts by itself, inside the sandbox.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    executes: bool = False
    writes: bool = False
    asks_hosts: bool = False

    @property
    def goes_out(self) -> bool:
        """Whether it could use the way out of its agent's sandbox."""
        return self.executes or self.asks_hosts


def text(description: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a text."""
    return {"type": "string", "description": description, **more}


def number(description: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a whole number."""
    return {"type": "integer", "description": description, **more}


def flag(description: str) -> dict[str, Any]:
    """Return the schema of a choice that is off by default."""
    return {"type": "boolean", "description": description, "default": False}


def array(description: str, items: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "description": description, "items": items}


def struct(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """Return the schema of an object."""
    return {"type": "object", "properties": dict(properties), "required": list(required)}
