"""The tools write_file and patch: whole files, replaced texts, and V4A patches over several files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from hermes_iso_sandbox.guest.tools.matching import NoMatchError, substitute
from hermes_iso_sandbox.guest.tools.reading import similar_files
from hermes_iso_sandbox.guest.tools.regular import read_regular, replace_regular
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError
from hermes_iso_sandbox.guest.tools.v4a import Operation, PatchError, apply, parse
from hermes_iso_sandbox.guest.tools.watch import TimeIsOver, watched

EDIT_LIMIT = 16 << 20
"""Largest file, in bytes, that is edited."""
DIFF_CHARS = 20_000
DIFF_LINES = 20_000
"""Lines of a file up to which a diff is made: it takes time that grows faster than the file."""
SECONDS = 30.0


def _write_file(bench: Bench, given: JsonObject) -> JsonObject:
    """Write a whole file, with the directories that lead to it."""
    path = bench.path(given["path"])
    data = given["content"].encode("utf-8", "replace")
    made = _make_parents(path)
    replace_regular(path, data)
    return {"bytes_written": len(data), "dirs_created": made}


def _make_parents(path: str) -> bool:
    """Create the directories that lead to a file; return whether there was anything to do."""
    folder = os.path.dirname(path)
    if os.path.isdir(folder):
        return False
    os.makedirs(folder, exist_ok=True)
    return True


def _patch(bench: Bench, given: JsonObject) -> JsonObject:
    """Edit files in place, by a replacement or by a patch."""
    try:
        with watched(bench, SECONDS):
            changes = _replacement(bench, given) if given.get("mode", "replace") == "replace" else _patched(bench, given)
            diff = "".join(_diff(path, before, after) for path, (before, after) in changes.items())
    except (NoMatchError, PatchError) as error:
        raise ToolError(f"Nothing was changed: {error}.", success=False) from None
    except TimeIsOver:
        raise ToolError(
            f"Nothing was changed: finding the place took more than {SECONDS:.0f} seconds.", success=False
        ) from None
    return {"success": True, "diff": _bounded(diff), **_write_all(changes)}


def _replacement(bench: Bench, given: JsonObject) -> Mapping[str, tuple[str | None, str | None]]:
    """Return the change that mode replace asks for: path to the texts before and after."""
    missing = [name for name in ("path", "old_string", "new_string") if name not in given]
    if missing:
        raise ToolError(f"patch in mode replace needs {', '.join(missing)}.", success=False)
    path = bench.path(given["path"])
    text = _text_of(path)
    old, new = (given[name].replace("\r\n", "\n") for name in ("old_string", "new_string"))
    return {path: (text, _edited(text, lambda unix: substitute(unix, old, new, every=given.get("replace_all", False))[0]))}


def _patched(bench: Bench, given: JsonObject) -> Mapping[str, tuple[str | None, str | None]]:
    """Return the changes of a V4A patch, path to the texts before and after; None is a file that is not there."""
    if not given.get("patch"):
        raise ToolError("patch in mode patch needs the argument patch.", success=False)
    changes: dict[str, tuple[str | None, str | None]] = {}
    for operation in parse(given["patch"]):
        _plan(bench, operation, changes)
    return changes


def _plan(bench: Bench, operation: Operation, changes: dict[str, tuple[str | None, str | None]]) -> None:
    """Add what one operation does to the changes; a later one sees what an earlier one made."""
    path = bench.path(operation.path)
    if operation.kind == "add":
        if changes[path][1] is not None if path in changes else os.path.lexists(path):
            raise PatchError(f"{path} is there already, so it can't be added")
        changes[path] = (changes.get(path, (None, None))[0], operation.added_text)
        return
    before, text = changes.get(path) or (_text_of(path),) * 2
    if text is None:
        raise PatchError(f"{path} is not there any more")
    after = None if operation.kind == "delete" else _edited(text, lambda unix: apply(operation, unix))
    if operation.target:
        target = bench.path(operation.target)
        if target in changes or os.path.lexists(target):
            raise PatchError(f"{target} is there already, so nothing can be moved to it")
        changes[target], after = (None, after), None
    changes[path] = (before, after)


def _edited(text: str, edit: Callable[[str], str]) -> str:
    """Return a text after an edit that knows plain line ends only; one with carriage returns keeps them."""
    if not text.count("\r\n") == text.count("\n") > 0:
        return edit(text)
    return edit(text.replace("\r\n", "\n")).replace("\n", "\r\n")


def _text_of(path: str) -> str:
    """Return the text of a file that is to be edited."""
    try:
        data = read_regular(path, EDIT_LIMIT + 1)
    except FileNotFoundError:
        raise ToolError(f"File not found: {path}", success=False, similar_files=similar_files(path)) from None
    if len(data) > EDIT_LIMIT:
        raise ToolError(f"{path} is larger than {EDIT_LIMIT} bytes: edit it with the terminal.", success=False)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ToolError(f"{path} is not UTF-8 text: edit it with the terminal.", success=False) from None


def _write_all(changes: Mapping[str, tuple[str | None, str | None]]) -> JsonObject:
    """Bring the changes to disk; return the files by what became of them."""
    made: dict[str, list[str]] = {"files_modified": [], "files_created": [], "files_deleted": []}
    for path, (before, after) in changes.items():
        if after is not None:
            _make_parents(path)
            replace_regular(path, after.encode())
            made["files_created" if before is None else "files_modified"].append(path)
        elif before is not None:
            os.unlink(path)
            made["files_deleted"].append(path)
    return {name: paths for name, paths in made.items() if paths}


def _diff(path: str, before: str | None, after: str | None) -> str:
    """Return a unified diff of one file, or a line in its place when the file is too long for one."""
    import difflib  # only an edit needs it

    old, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    if len(old) + len(new) > DIFF_LINES:
        return f"--- {path}: too long for a diff\n"
    names = ("/dev/null" if before is None else f"a{path}", "/dev/null" if after is None else f"b{path}")
    lines = difflib.unified_diff(old, new, *names)
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def _bounded(diff: str) -> str:
    """Return a diff that is not too long to read."""
    if len(diff) <= DIFF_CHARS:
        return diff
    return f"{diff[:DIFF_CHARS]}\n[{len(diff) - DIFF_CHARS} characters of the diff are left out]"


TOOLS = (
    Tool(
        "write_file",
        _write_file,
        {"path": Argument("string", required=True), "content": Argument("string", required=True)},
        preview="path",
    ),
    Tool(
        "patch",
        _patch,
        {
            "mode": Argument("string", choices=("replace", "patch")),
            "path": Argument("string"),
            "old_string": Argument("string"),
            "new_string": Argument("string"),
            "replace_all": Argument("boolean"),
            "patch": Argument("string"),
        },
        preview="path",
    ),
)
