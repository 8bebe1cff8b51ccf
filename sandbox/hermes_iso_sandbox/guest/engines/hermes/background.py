"""Background processes of a turn of hermes-agent: kept by the gateway, as what the turn itself starts ends with it."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any, cast

from hermes_iso_sandbox.guest.engines.hermes.talk import Talk
from hermes_iso_sandbox.guest.link import Link
from hermes_iso_sandbox.guest.tools.registry import Registry
from hermes_iso_sandbox.guest.tools.tool import Bench


def keep_beyond_turn(talk: Talk) -> None:
    """Let the gateway keep what `terminal` starts in the background, and answer for `process`, as the native engine does.

    A command that Hermes would not start is left to Hermes, which says why.
    """
    registry: Any = import_module("tools.registry").registry
    terminal: Any = import_module("tools.terminal_tool")
    ours = Registry(("terminal", "process"), Bench(cast("Link", talk), os.getcwd(), os.environ["HERMES_HOME"]))
    dispatch = registry.dispatch

    def dispatch_further(name: str, given: dict[str, Any], **more: Any) -> Any:
        starts = name == "terminal" and given.get("background") is True
        if name == "process" or (starts and terminal._check_all_guards(str(given.get("command")), "local").get("approved")):
            return ours.run(name, json.dumps(given)).text
        return dispatch(name, given, **more)

    registry.dispatch = dispatch_further
