"""Tell a command from a message, by its first word, and say what an unknown one may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from hermes_iso.commands.command import Command
from hermes_iso.commands.registry import COMMANDS
from hermes_iso.commands.unavailable import UNAVAILABLE

BY_NAME: Mapping[str, Command] = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}
"""Name or alias to command."""
_COMMAND = re.compile(r"/([A-Za-z][A-Za-z0-9_-]{0,63})(?:@[A-Za-z0-9_]{1,64})?(?:\s+(.*))?\Z", re.DOTALL)


def parse(text: str) -> tuple[str, str] | None:
    """Return the name and the arguments of a command, or None for a message. A path is no command."""
    found = _COMMAND.match(text.strip())
    return None if found is None else (found[1].lower().replace("_", "-"), (found[2] or "").strip())


def no_command(name: str) -> str:
    """Say that there is no such command, and what may be meant: Hermes does not hand such a word to the model either."""
    reason = UNAVAILABLE.get(name)
    if reason is not None:
        return f"/{name} is not available here: {reason}."
    near = difflib.get_close_matches(name, BY_NAME, n=1, cutoff=0.6)
    meant = f" Did you mean /{near[0]}?" if near else ""
    return f"There is no command /{name}.{meant} /help lists them; without the slash it goes to the agent."
