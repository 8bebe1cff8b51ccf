"""Patches in the V4A form: read one into operations, and apply the hunks of an update to a file's text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hermes_iso_sandbox.guest.tools.matching import find_lines

_HEADER = re.compile(r"\*\*\*\s*(Update|Add|Delete|Move)\s+File:\s*(.*)")
_MOVE_TO = re.compile(r"\*\*\*\s*Move\s+to:\s*(.*)")
_PASSED_OVER = re.compile(r"\*\*\*\s*End of File\s*$|\\")


class PatchError(ValueError):
    """A patch that can't be read or does not apply; its text says where."""


@dataclass(slots=True)
class Hunk:
    """A change of some lines: `hint` names a line before it, `lines` begin with a blank, a minus or a plus."""

    hint: str
    lines: list[str] = field(default_factory=list)

    def side(self, mark: str) -> list[str]:
        """Return the lines before (mark -) or after (mark +) the change."""
        return [line[1:] for line in self.lines if line[0] in (" ", mark)]


@dataclass(slots=True)
class Operation:
    """What a patch does to one file: kind is update, add, delete or move."""

    kind: str
    path: str
    target: str = ""
    hunks: list[Hunk] = field(default_factory=list)

    @property
    def added_text(self) -> str:
        """The whole text of an added file."""
        return "".join(f"{line}\n" for hunk in self.hunks for line in hunk.side("+"))


def parse(patch: str) -> list[Operation]:
    """Return a patch's operations in order. Raises PatchError."""
    operations: list[Operation] = []
    blanks = 0
    for line in _body(patch):
        if not line.strip() and line[:1] != "+":
            blanks += 1  # they belong to a hunk only if more of it follows
            continue
        if header := _HEADER.match(line):
            operations.append(_operation(header[1].lower(), header[2].strip()))
        elif not operations:
            raise PatchError(f"the line {line[:80]!r} belongs to no file: begin with *** Update File: PATH")
        elif moved := _MOVE_TO.match(line):
            operations[-1].target = moved[1].strip()
        elif not _PASSED_OVER.match(line):
            _take(operations[-1], blanks, line)
        blanks = 0
    if not operations:
        raise PatchError("the patch names no file")
    for operation in operations:
        if operation.kind == "update" and not operation.target and not any(hunk.lines for hunk in operation.hunks):
            raise PatchError(f"the update of {operation.path} changes nothing")
    return operations


def _body(patch: str) -> list[str]:
    """Return the lines between the marks of beginning and end; both may be missing."""
    lines = patch.replace("\r\n", "\n").split("\n")
    begin = next((number for number, line in enumerate(lines) if line.strip() == "*** Begin Patch"), -1)
    end = next((number for number, line in enumerate(lines) if line.strip() == "*** End Patch"), len(lines))
    return lines[begin + 1 : end]


def _operation(kind: str, path: str) -> Operation:
    """Return the operation that a header line begins."""
    target = ""
    if kind == "move":
        path, _, target = (part.strip() for part in path.partition("->"))
    if not path or (kind == "move" and not target):
        raise PatchError(f"a line *** {kind.title()} File: names no file")
    return Operation(kind, path, target)


def _take(operation: Operation, blanks: int, line: str) -> None:
    """Add one line of a patch, and the blank ones before it, to the operation that it belongs to."""
    if line.startswith("@@"):
        operation.hunks.append(Hunk(line.strip("@ ").strip()))
        return
    if not operation.hunks:
        operation.hunks.append(Hunk(""))
    bare = "+" if operation.kind == "add" else " "
    operation.hunks[-1].lines += [bare] * blanks
    operation.hunks[-1].lines.append(line if line[0] in "+- " and (bare == " " or line[0] == "+") else bare + line)


def apply(operation: Operation, text: str) -> str:
    """Return a file's text after the hunks of an update. Raises PatchError when one has no place or more than one."""
    lines = text.split("\n")
    for number, hunk in enumerate(operation.hunks, start=1):
        if hunk.lines:
            lines = _apply_hunk(hunk, lines, f"hunk {number} of {operation.path}")
    return "\n".join(lines)


def _apply_hunk(hunk: Hunk, lines: list[str], name: str) -> list[str]:
    """Return the lines of a file after one hunk; lines that stay are the file's own, whatever their white space."""
    hinted = next((index for index, line in enumerate(lines) if hunk.hint and hunk.hint in line), None)
    before = hunk.side("-")
    if not before:
        end = len(lines) - 1 if lines[-1] == "" else len(lines)
        at = end if hinted is None else hinted + 1
        return [*lines[:at], *hunk.side("+"), *lines[at:]]
    places = find_lines(lines, before)
    if len(places) > 1 and hinted is not None:
        places = [place for place in places if place >= hinted][:1]
    if len(places) != 1:
        what = (
            "are not there" if not places else f"are there {len(places)} times: give more of what is around them, or an @@ line"
        )
        raise PatchError(f"{name}: its lines {what}; they begin with {before[0][:80]!r}")
    at, after = places[0], []
    for line in hunk.lines:
        if line[0] == "+":
            after.append(line[1:])
            continue
        if line[0] == " ":
            after.append(lines[at])
        at += 1
    return [*lines[: places[0]], *after, *lines[at:]]
