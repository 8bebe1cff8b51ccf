"""The tool read_file: lines of a text file with their numbers, a bounded part at a time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import BinaryIO

from hermes_iso_sandbox.guest.tools.regular import require_regular
from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError
from hermes_iso_sandbox.guest.tools.watch import TimeIsOver, watched

DEFAULT_LINES, MAX_LINES = 500, 2_000
RESULT_CHARS = 100_000
LINE_CHARS = 2_000
PIECE = 1 << 16
SECONDS = 20.0
"""Longest time for one read: a file of a terabyte is not counted to its end."""
IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".ico", ".tiff", ".heic", ".avif")
SIMILAR = 5
LISTED = 2_000


@dataclass(slots=True)
class _Window:
    """The lines that were asked for, as they are found; `total` counts all lines of the file."""

    first: int
    count: int
    lines: list[str] = field(default_factory=list)
    chars: int = 0
    total: int = 0
    full: bool = False

    def take(self, raw: bytes) -> None:
        """Take in the next line, without its end."""
        self.total += 1
        if self.full or not self.first <= self.total < self.first + self.count:
            return
        text = raw.decode("utf-8", "replace").removesuffix("\r")
        if len(text) > LINE_CHARS:
            text = f"{text[:LINE_CHARS]}... [line cut]"
        line = f"{self.total}|{text}"
        self.full = self.chars + len(line) > RESULT_CHARS
        if not self.full:
            self.lines.append(line)
            self.chars += len(line) + 1


def _read_file(bench: Bench, given: JsonObject) -> JsonObject:
    """Return numbered lines of a file."""
    path = bench.path(given["path"])
    window = _Window(max(1, given.get("offset", 1)), min(max(1, given.get("limit", DEFAULT_LINES)), MAX_LINES))
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ToolError(f"File not found: {path}", similar_files=similar_files(path)) from None
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        require_regular(path, status)
        _require_text(path, file)
        complete = True
        try:
            with watched(bench, SECONDS):
                _scan(file, window)
        except TimeIsOver:
            complete = False
    return _result(window, status.st_size, complete)


def _require_text(path: str, file: BinaryIO) -> None:
    """Raise ToolError for an image or another binary file; leaves the file at its beginning."""
    if path.lower().endswith(IMAGES):
        raise ToolError(f"{path} is an image; read_file shows text only.", is_binary=True, is_image=True)
    if b"\0" in file.read(8192):
        hint = "use the terminal to look into it"
        raise ToolError(f"{path} is a binary file; read_file shows text only: {hint}.", is_binary=True, is_image=False)
    file.seek(0)


def _scan(file: BinaryIO, window: _Window) -> None:
    """Go through a file line by line; never holds more than the beginning of a long line."""
    line, within = b"", False
    while piece := file.readline(PIECE):
        if not within:
            line = piece
        within = not piece.endswith(b"\n")
        if not within:
            window.take(line.removesuffix(b"\n"))
    if within:
        window.take(line)


def _result(window: _Window, size: int, complete: bool) -> JsonObject:
    """Return what the model is shown."""
    last = window.first + len(window.lines) - 1
    result: JsonObject = {
        "content": "\n".join(window.lines),
        "total_lines": window.total,
        "file_size": size,
        "truncated": window.full or last < window.total or not complete,
        "is_binary": False,
        "is_image": False,
    }
    if window.first > max(1, window.total):
        result["hint"] = f"The file has {window.total} lines; there is no line {window.first}."
    elif result["truncated"]:
        why = f" (cut at {RESULT_CHARS} characters)" if window.full else ""
        least = "" if complete else "at least "
        result["hint"] = f"Lines {window.first} to {last} of {least}{window.total}{why}; go on with offset={last + 1}."
        result["next_offset"] = last + 1
    return result


def similar_files(path: str) -> list[str]:
    """Return files beside a missing one whose names resemble it."""
    import difflib  # only a miss needs it

    folder, wanted = os.path.split(path)
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for _, entry in zip(range(LISTED), entries, strict=False)]
    except OSError:
        return []
    by_lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(wanted.lower(), by_lower, n=SIMILAR, cutoff=0.6)
    return [os.path.join(folder, by_lower[name]) for name in found]


TOOLS = (
    Tool(
        "read_file",
        _read_file,
        {"path": Argument("string", required=True), "offset": Argument("integer"), "limit": Argument("integer")},
        preview="path",
    ),
)
