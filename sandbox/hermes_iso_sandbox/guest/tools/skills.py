"""The tools skills_list and skill_view: what the agent's own directory of skills holds, and the text of one of them.

A skill is a directory with a SKILL.md, alone or in a directory that is its category. Its front matter is read for two lines and
never parsed as YAML. All of it is the agent's own and read with the agent's own rights, so a symlink leads no further than
any other tool would; what a name leads to must still lie in the skill, so that a name is no path.
"""

from __future__ import annotations

import os
import re

from hermes_iso_sandbox.guest.tools.regular import read_regular
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

MAIN = "SKILL.md"
MOST = 500
"""Skills that are listed, and files of one skill."""
VIEW_BYTES = 100_000
"""Bytes of a file that are shown."""
_HEAD_BYTES = 4_096
_DESCRIPTION_CHARS = 200
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_LINE = re.compile(r"^(name|description):[ \t]*(.+)$", re.MULTILINE)


def _list(bench: Bench, given: JsonObject) -> JsonObject:
    """List the skills, or those of a category."""
    wanted = given.get("category")
    found = _found(bench)
    shown = [skill for skill in found if wanted is None or skill["category"] == wanted]
    categories = sorted({skill["category"] for skill in found if skill["category"]})
    return {"success": True, "skills": shown[:MOST], "categories": categories, "count": len(shown)}


def _view(bench: Bench, given: JsonObject) -> JsonObject:
    """Show a skill, or a file of it."""
    name = given["name"].strip()
    matching = [skill for skill in _found(bench) if name in (skill["name"], skill["path"])]
    if not matching:
        raise ToolError(f"There is no skill {name[:80]!r}: skills_list names those there are.", success=False)
    if len(matching) > 1:
        paths = ", ".join(skill["path"] for skill in matching[:10])
        raise ToolError(f"Several skills are called {name[:80]!r}: name one by its path, of {paths}.", success=False)
    folder = os.path.join(_root(bench), matching[0]["path"])
    files = _files(folder)
    wanted = given.get("file_path") or MAIN
    path = os.path.realpath(os.path.join(folder, wanted))
    if not path.startswith(os.path.realpath(folder) + os.sep):
        raise ToolError(f"{wanted[:80]!r} is no file of this skill.", success=False, files=files)
    try:
        data = read_regular(path, VIEW_BYTES + 1)
    except OSError as error:
        raise ToolError(f"{wanted[:80]!r} can't be read: {error.strerror}.", success=False, files=files) from error
    content = data[:VIEW_BYTES].decode("utf-8", "replace")
    result = {"success": True, **matching[0], "file": wanted, "content": content, "files": files}
    return {**result, "truncated": True} if len(data) > VIEW_BYTES else result


def _root(bench: Bench) -> str:
    """Return where the agent's skills lie."""
    return os.path.join(bench.hermes_home, "skills")


def _found(bench: Bench) -> list[JsonObject]:
    """Return the skills there are: name, category, description, and path from the directory of skills."""
    root = _root(bench)
    found = []
    for name in _folders(root):
        if _is_skill(os.path.join(root, name)):
            found.append(_entry(root, name, ""))
            continue
        below = (inner for inner in _folders(os.path.join(root, name)) if _is_skill(os.path.join(root, name, inner)))
        found += [_entry(root, os.path.join(name, inner), name) for inner in below]
    return found[: 2 * MOST]


def _folders(path: str) -> list[str]:
    """Return the directories in one, by name; none where it can't be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())[:MOST]
    except OSError:
        return []


def _is_skill(folder: str) -> bool:
    """Say whether a directory is a skill."""
    return os.path.isfile(os.path.join(folder, MAIN))


def _entry(root: str, path: str, category: str) -> JsonObject:
    """Return a skill as a list shows it."""
    try:
        head = read_regular(os.path.join(root, path, MAIN), _HEAD_BYTES).decode("utf-8", "replace")
    except (OSError, ToolError):
        head = ""
    front = _FRONT.match(head)
    said = {key: value.strip().strip("\"'") for key, value in _LINE.findall(front[1] if front else "")}
    name = said.get("name") or os.path.basename(path)
    about = said.get("description", "")
    about = about if len(about) <= _DESCRIPTION_CHARS else about[: _DESCRIPTION_CHARS - 1] + "…"
    return {"name": name[:80], "category": category or None, "description": about, "path": path}


def _files(folder: str) -> list[str]:
    """Return the files of a skill beside its SKILL.md, as paths in it."""
    found: list[str] = []
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.relpath(os.path.join(where, name), folder) for name in sorted(names)]
        if len(found) > MOST:
            break
    return [path for path in found if path != MAIN][:MOST]


TOOLS = (
    Tool("skills_list", _list, {"category": Argument("string")}, preview="category"),
    Tool("skill_view", _view, {"name": Argument("string", required=True), "file_path": Argument("string")}, preview="name"),
)
