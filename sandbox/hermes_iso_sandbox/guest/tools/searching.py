"""The tool search_files: regular expressions in the contents of files, or glob patterns on their names."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from hermes_iso_sandbox.guest.tools.regular import read_regular
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError
from hermes_iso_sandbox.guest.tools.watch import TimeIsOver, watched

SECONDS = 60.0
FILE_LIMIT = 8 << 20
"""Bytes of a file that are searched."""
FOUND_LIMIT = 10_000
"""Matches after which a search ends: nobody reads more."""
LINE_CHARS = 500
RESULT_CHARS = 90_000
DENSE_FROM = 5
_DENSE = "grouped by file: a line with the path, then its matches, each as '  <line>: <content>'"


@dataclass(slots=True)
class _Found:
    """What a search has found so far."""

    matches: list[tuple[str, int, str]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    total: int = 0


def _search_files(bench: Bench, given: JsonObject) -> JsonObject:
    """Search, and return one page of what is found."""
    shown = given.get("path") or "."
    root = bench.path(shown)
    if not os.path.exists(root):
        raise ToolError(f"Path not found: {root}", total_count=0)
    offset, limit = max(0, given.get("offset", 0)), max(1, given.get("limit", 50))
    prefix = "" if shown in (".", "./") else shown
    if given.get("target", "content") == "files":
        return _by_name(bench, given["pattern"], root, prefix, (offset, offset + limit))
    return _by_content(bench, given, root, prefix, (offset, offset + limit))


def _by_name(bench: Bench, pattern: str, root: str, prefix: str, page: tuple[int, int]) -> JsonObject:
    """Return the files whose names match, the newest first."""
    found: list[tuple[float, str]] = []
    complete = True
    matches = re.compile(fnmatch.translate(pattern.removeprefix("./") if "/" in pattern else f"*/{pattern}")).match
    try:
        with watched(bench, SECONDS):
            for path, relative in _files(root, hidden=pattern.startswith(".")):
                if matches(relative) or matches("/" + relative):
                    found.append((_age(path), os.path.join(prefix, relative)))
    except TimeIsOver:
        complete = False
    found.sort()
    files = [name for _, name in found[slice(*page)]]
    return {"total_count": len(found), **({"files": files} if files else {}), **_more(len(found), page, complete)}


def _by_content(bench: Bench, given: JsonObject, root: str, prefix: str, page: tuple[int, int]) -> JsonObject:
    """Return the lines that match, the files that have some, or how many each has."""
    try:
        pattern = re.compile(given["pattern"])
    except (re.error, OverflowError, RecursionError) as error:
        raise ToolError(f"The pattern is no regular expression: {error}", total_count=0) from None
    found, complete = _Found(), True
    glob = re.compile(fnmatch.translate(given.get("file_glob") or "*")).match
    try:
        with watched(bench, SECONDS):
            for path, relative in _files(root, hidden=False):
                if glob(os.path.basename(path)) and found.total < FOUND_LIMIT:
                    name = os.path.join(prefix, relative) if relative else prefix
                    _search(path, name, pattern, found, max(0, min(given.get("context", 0), 20)))
    except TimeIsOver:
        complete = False
    mode = given.get("output_mode", "content")
    if mode == "files_only":
        files = list(found.counts)[slice(*page)]
        return {"total_count": len(found.counts), "files": files, **_more(len(found.counts), page, complete)}
    if mode == "count":
        counts = dict(list(found.counts.items())[slice(*page)])
        return {"total_count": found.total, "counts": counts, **_more(len(found.counts), page, complete)}
    return {"total_count": found.total, **_lines(found.matches[slice(*page)]), **_more(len(found.matches), page, complete)}


def _files(root: str, *, hidden: bool) -> Iterator[tuple[str, str]]:
    """Yield each file below a directory, or the one file that `root` is, with its path from there; hidden ones when asked."""
    if not os.path.isdir(root):
        yield root, ""
        return
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if hidden or not name.startswith("."))
        for name in sorted(names):
            if hidden or not name.startswith("."):
                path = os.path.join(folder, name)
                yield path, os.path.relpath(path, root)


def _search(path: str, name: str, pattern: re.Pattern[str], found: _Found, context: int) -> None:
    """Search one file; binary files and what is no regular file are passed over."""
    try:
        data = read_regular(path, FILE_LIMIT)
    except (OSError, ToolError):
        return
    if b"\0" in data[:8192]:
        return
    lines = data.decode("utf-8", "replace").splitlines()
    every = (number for number, line in enumerate(lines) if pattern.search(line))
    hits = list(islice(every, FOUND_LIMIT))
    if not hits:
        return
    found.counts[name] = len(hits)
    found.total += len(hits)
    around = {near for hit in hits for near in range(hit - context, hit + context + 1) if 0 <= near < len(lines)}
    found.matches += [(name, number + 1, lines[number][:LINE_CHARS]) for number in sorted(around)]


def _lines(matches: list[tuple[str, int, str]]) -> JsonObject:
    """Return matches as a list, or grouped by file where they are many."""
    if not matches:
        return {}
    if len(matches) < DENSE_FROM:
        return {"matches": [{"path": path, "line": line, "content": content} for path, line, content in matches]}
    rows: list[str] = []
    current = None
    for path, line, content in matches:
        rows += [path] if path != current else []
        rows.append(f"  {line}: {content.rstrip()}")
        current = path
    text = "\n".join(rows)
    if len(text) > RESULT_CHARS:
        text = f"{text[:RESULT_CHARS]}\n[cut at {RESULT_CHARS} characters: ask for fewer with limit]"
    return {"matches_format": _DENSE, "matches_text": text}


def _more(total: int, page: tuple[int, int], complete: bool) -> JsonObject:
    """Return what says that there is more than the page shows."""
    more: JsonObject = {"truncated": True} if total > page[1] or not complete else {}
    if total > page[1]:
        more["hint"] = f"There is more: go on with offset={page[1]}, or search more narrowly."
    if not complete:
        more["limit_reason"] = "search_timeout"
    return more


def _age(path: str) -> float:
    """Return how long ago a file changed, as a number to sort by."""
    try:
        return -os.lstat(path).st_mtime
    except OSError:
        return 0.0


TOOLS = (
    Tool(
        "search_files",
        _search_files,
        {
            "pattern": Argument("string", required=True),
            "target": Argument("string", choices=("content", "files")),
            "path": Argument("string"),
            "file_glob": Argument("string"),
            "limit": Argument("integer"),
            "offset": Argument("integer"),
            "output_mode": Argument("string", choices=("content", "files_only", "count")),
            "context": Argument("integer"),
        },
        preview="pattern",
    ),
)
