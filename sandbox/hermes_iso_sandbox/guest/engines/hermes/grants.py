"""Which of Hermes' tools this turn has: what it is not granted is neither described to the model nor done when it is called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any


def enforce(granted: Iterable[str], refused: Iterable[str], *, others: bool) -> Callable[[str], bool]:
    """Keep all of hermes-agent in this process, its subagents and its scripts among them, to the tools of this turn.

    refused: tools of Hermes' that are not granted. others: whether tools that neither names, those of plugins and MCP
    servers, are granted. Returns whether a tool is granted.
    """
    granted, refused = frozenset(granted), frozenset(refused)
    registry: Any = import_module("tools.registry").registry
    define, dispatch = registry.get_definitions, registry.dispatch

    def allowed(name: str) -> bool:
        return name in granted or (others and name not in refused)

    def get_definitions(names: Iterable[str], *rest: Any, **more: Any) -> Any:
        return define({name for name in names if allowed(name)}, *rest, **more)

    def checked_dispatch(name: str, *rest: Any, **more: Any) -> Any:
        if not allowed(name):
            return json.dumps({"error": f"The tool {name} is not granted to this turn."})
        return dispatch(name, *rest, **more)

    registry.get_definitions, registry.dispatch = get_definitions, checked_dispatch
    import_module("model_tools")._tool_defs_cache.clear()
    return allowed
