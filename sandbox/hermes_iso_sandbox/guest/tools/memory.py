"""The tool memory: short notes that outlast the session, in two files that the system prompt shows.

An agent may have several turns at once, and each of them may change its notes. So every change reads the file anew under a
lock on a file beside it and replaces the file as a whole.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hermes_iso_sandbox.guest.link import Interrupted
from hermes_iso_sandbox.guest.tools.regular import read_regular, replace_regular
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

DELIMITER = "\n§\n"
FILES = {"memory": ("MEMORY.md", 2_200), "user": ("USER.md", 1_375)}
"""File and limit in characters of each store."""
READ_LIMIT = 1 << 18
"""Bytes read of a file: one that the agent has filled by other means must not fill the turn."""
LOCK_TIMEOUT = 5.0
LOCK_STEP = 0.01


def read_entries(hermes_home: str, target: str) -> list[str]:
    """Return the entries of a store in order, each once; none where the file is missing or is none."""
    path = os.path.join(hermes_home, "memories", FILES[target][0])
    try:
        text = read_regular(path, READ_LIMIT).decode("utf-8", "replace")
    except (OSError, ToolError):
        return []
    return list(dict.fromkeys(filter(None, map(str.strip, text.split(DELIMITER)))))


def usage(entries: list[str], limit: int) -> str:
    """Return how full a store is, as in 45% — 990/2,200 chars."""
    used = len(DELIMITER.join(entries))
    return f"{min(100, used * 100 // limit)}% — {used:,}/{limit:,} chars"


def _memory(bench: Bench, given: JsonObject) -> JsonObject:
    """Change a store: one operation, or several as one."""
    target = given.get("target", "memory")
    name, limit = FILES[target]
    single = {key: given[key] for key in ("action", "content", "old_text") if key in given}
    operations = given.get("operations") or [single]
    with _locked(bench, name):
        before = read_entries(bench.hermes_home, target)
        try:
            after = list(before)
            messages = [_apply(after, operation) for operation in operations]
            if len(DELIMITER.join(after)) > max(limit, len(DELIMITER.join(before)) - 1):
                size = len(DELIMITER.join(after))
                raise ToolError(
                    f"That would make {size:,} characters, and {limit:,} are the limit: in one call with `operations`,"
                    " remove or shorten entries and add the new one."
                )
        except ToolError as error:
            more = {"current_entries": before, "usage": f"{len(DELIMITER.join(before)):,}/{limit:,}"}
            raise ToolError(str(error), success=False, **more) from None
        if after != before:
            replace_regular(_path(bench, name), DELIMITER.join(after).encode())
    message = messages[0] if len(messages) == 1 else f"Applied {len(messages)} operations."
    return {
        "success": True,
        "done": True,
        "target": target,
        "message": message,
        "usage": usage(after, limit),
        "entry_count": len(after),
    }


def _path(bench: Bench, name: str) -> str:
    """Return the path of a file in the agent's memories."""
    return os.path.join(bench.hermes_home, "memories", name)


def _apply(entries: list[str], operation: Any) -> str:
    """Do one operation on the entries; return what to say. Raise ToolError when it can't be done."""
    fields = operation if isinstance(operation, dict) else {}
    action = fields.get("action")
    content, old = (str(fields.get(name) or "").strip() for name in ("content", "old_text"))
    if action not in {"add", "replace", "remove"}:
        raise ToolError("The action must be add, replace or remove.")
    if DELIMITER in content:
        raise ToolError(f"An entry can't hold {DELIMITER!r}, which separates entries: add them one by one.")
    if not content and action != "remove":
        raise ToolError(f"{action} needs content, and it is empty or missing.")
    if action == "add":
        if content in entries:
            return "The entry is there already."
        entries.append(content)
        return "Entry added."
    index = _find(entries, action, old)
    if action == "remove":
        del entries[index]
        return "Entry removed."
    entries[index] = content
    return "Entry replaced."


def _find(entries: list[str], action: str, old: str) -> int:
    """Return the index of the one entry that holds `old`."""
    if not old:
        raise ToolError(f"{action} needs old_text, a part of the one entry that it is about.")
    found = [index for index, entry in enumerate(entries) if old in entry]
    if not found:
        raise ToolError(f"No entry holds {old[:100]!r}.")
    if len(found) > 1:
        raise ToolError(f"{len(found)} entries hold {old[:100]!r}: give a longer part of the one that is meant.")
    return found[0]


@contextmanager
def _locked(bench: Bench, name: str) -> Iterator[None]:
    """Hold the lock of a store. Raises ToolError when another turn keeps it, Interrupted when the host wants an end."""
    os.makedirs(os.path.join(bench.hermes_home, "memories"), exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(_path(bench, name) + ".lock", flags, 0o600)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    message = f"Another turn keeps {name} locked for more than {LOCK_TIMEOUT:.0f} seconds; nothing was changed."
                    raise ToolError(message, success=False) from None
            if bench.link.poll_interrupt():
                raise Interrupted
            time.sleep(LOCK_STEP)
        yield
    finally:
        os.close(fd)


_ACTIONS = ("add", "replace", "remove")
TOOLS = (
    Tool(
        "memory",
        _memory,
        {
            "action": Argument("string", choices=_ACTIONS),
            "target": Argument("string", required=True, choices=tuple(FILES)),
            "content": Argument("string"),
            "old_text": Argument("string"),
            "operations": Argument("array"),
        },
        preview="action",
    ),
)
