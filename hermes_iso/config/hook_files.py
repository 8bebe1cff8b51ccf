"""The file hooks of a home: `hooks/<name>/` with HOOK.yaml and handler.py, as Hermes has them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from hermes_iso.config.problems import ProblemList, possible
from hermes_iso.config.yaml_text import Document, kind_of, read_document
from hermes_iso.hooks.hook import COMMAND, EVENTS, Hook, is_event

MANIFEST, HANDLER = "HOOK.yaml", "handler.py"
MOST_HOOKS = 100


def find_hook_files(home: Path, problems: ProblemList) -> tuple[Hook, ...]:
    """Return the hooks of a home, by name; what is wrong with one is noted. A directory without both files is no hook.

    A symlink is no hook either: what it leads to may be a place that an agent can write.
    """
    hooks: list[Hook] = []
    for name in _directories(home / "hooks", problems):
        directory = home / "hooks" / name
        manifest, handler = directory / MANIFEST, directory / HANDLER
        if not (os.path.lexists(manifest) and os.path.lexists(handler)):
            continue
        links = [file for file in (manifest, handler) if file.is_symlink()]
        for file in links:
            problems.add(str(file), 1, key="file", message="is a symlink, and a hook may not be one; put the file itself there")
        before = len(problems.problems)
        document = read_document(manifest, problems)
        if not links and len(problems.problems) == before:
            hook = _read(document, name, problems)
            hooks += [hook] if hook else []
    return tuple(sorted(hooks, key=lambda hook: (hook.name, hook.directory)))


def _directories(hooks: Path, problems: ProblemList) -> list[str]:
    """Return the names of the directories in `hooks`, sorted."""
    try:
        mode = os.lstat(hooks).st_mode
        entries = sorted(os.listdir(hooks)) if stat.S_ISDIR(mode) else []
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.add(str(hooks), 1, key="hooks", message=f"can't be read ({error.strerror}); correct it")
        return []
    if stat.S_ISLNK(mode):
        problems.warn(f"{hooks} is a symlink, so no hook in it is used; put the directory itself there")
    real = [name for name in entries if os.path.isdir(hooks / name)]
    for name in [name for name in real if (hooks / name).is_symlink()]:
        problems.warn(f"{hooks / name} is a symlink, so it is not used as a hook; put the directory itself there")
        real.remove(name)
    if len(real) > MOST_HOOKS:
        problems.add(str(hooks), 1, key="hooks", message=f"holds {len(real)} directories, and {MOST_HOOKS} is the most")
    return real[:MOST_HOOKS]


def _read(document: Document, directory: str, problems: ProblemList) -> Hook | None:
    """Return the hook that a HOOK.yaml describes, or None where that is wrong."""
    name: Any = document.get("name")
    events: Any = document.get("events")
    before = len(problems.problems)
    if name is not None and (not isinstance(name, str) or not name.strip()):
        document.complain(problems, ("name",), message=f"must be text, found {kind_of(name)}; correct or remove it")
    if not events or not isinstance(events, list):
        found = f", found {kind_of(events)}" if events else ""
        message = f"must be a list with at least one event{found}; write it as [select_agent]"
        document.complain(problems, ("events",), message=message)
        return None
    for index, event in enumerate(events):
        if not isinstance(event, str) or not event:
            message = f"must be the name of an event, found {kind_of(event)}; correct it"
            document.complain(problems, ("events", index), message=message)
        elif not is_event(event):
            where = f"{document.file}:{document.line(('events', index))}: events[{index}]"
            hint = possible(event, [*EVENTS, f"{COMMAND}*"])
            problems.warn(f"{where}: hooks are not called for {event[:60]!r} in this version{hint}")
    if len(problems.problems) > before:
        return None
    return Hook((name or directory).strip(), frozenset(filter(is_event, events)), directory)
