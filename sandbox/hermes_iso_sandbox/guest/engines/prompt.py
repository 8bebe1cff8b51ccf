"""The system prompt of the native engine: persona, what the agent has noted, where it works, and the caller's instructions."""

from __future__ import annotations

from hermes_iso_sandbox.guest.tools.memory import DELIMITER, FILES, read_entries, usage

_TITLES = {"memory": "MEMORY (your own notes)", "user": "USER PROFILE (the person you talk to)"}
_RULE = "═" * 46
_SHOWN_CHARS = 8_000
"""Characters of a store that are shown: a file that was filled by other means must not crowd out the conversation."""


def system_prompt(persona: str, instructions: str, *, cwd: str, hermes_home: str) -> str:
    """Return the system message's text; parts that are empty are left out."""
    parts = [persona.strip(), *(_memory_block(hermes_home, target) for target in FILES)]
    parts += [f"Your working directory is {cwd}.", instructions.strip()]
    return "\n\n".join(part for part in parts if part)


def _memory_block(hermes_home: str, target: str) -> str:
    """Return a store's entries under a title that tells how full it is; "" when it is empty."""
    entries = read_entries(hermes_home, target)
    if not entries:
        return ""
    text = DELIMITER.join(entries)
    if len(text) > _SHOWN_CHARS:
        text = f"{text[:_SHOWN_CHARS]}\n[{len(text) - _SHOWN_CHARS} characters more are not shown]"
    return f"{_RULE}\n{_TITLES[target]} [{usage(entries, FILES[target][1])}]\n{_RULE}\n{text}"
