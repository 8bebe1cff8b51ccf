r"""The `.env` format: read what Hermes reads, write what a shell and this parser read back identically.

Reading follows python-dotenv, because that is what Hermes' files were written for: `export ` and blanks around the name are
dropped, a value in single quotes keeps everything but `\'` and `\\`, one in double quotes knows the usual escapes, both may
span lines, and a bare value ends at ` #`. `${NAME}` is left as it stands: what it would mean depends on whose environment
one asks. A line that is none of this is reported and skipped, and the rest of the file still counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_SKIP = re.compile(r"(?:[^\S\r\n]*(?:#[^\r\n]*)?(?:\r\n|\n|\r))+|[^\S\r\n]*(?:#[^\r\n]*)?\Z")
_NAME = re.compile(r"[^\S\r\n]*(?:export[^\S\r\n]+)?(?:'([^'\r\n]+)'|([^=#\s'\"]+))[^\S\r\n]*")
_EQUALS = re.compile(r"=[^\S\r\n]*")
_SINGLE = re.compile(r"'((?:\\'|[^'])*)'")
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_BARE = re.compile(r"[^\r\n]*")
_END = re.compile(r"[^\S\r\n]*(?:#[^\r\n]*)?(?:\r\n|\n|\r|\Z)")
_REST = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|\Z)")
_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_QUOTED = {"'": (_SINGLE, _SINGLE_ESCAPE), '"': (_DOUBLE, _ESCAPE)}
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
"""A name that a shell and an environment take."""


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a `.env` file says. `lines` gives the line of each name; `warnings` holds (line, what is wrong)."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    lines: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[tuple[int, str], ...] = ()


def parse_env(text: str) -> EnvFile:
    """Read the text of a `.env` file; the last of several entries of one name counts."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    warnings: list[tuple[int, str]] = []
    position = counted = 1 if text.startswith("\ufeff") else 0
    line = 1
    while True:
        skipped = _SKIP.match(text, position)
        position = skipped.end() if skipped else position
        if position >= len(text):
            return EnvFile(values, lines, tuple(warnings))
        line += text.count("\n", counted, position)
        counted = position
        entry, end, complaint = _entry(text, position)
        if entry is None:
            warnings.append((line, complaint))
        else:
            values[entry[0]], lines[entry[0]] = entry[1], line
        position = end


def _entry(text: str, position: int) -> tuple[tuple[str, str] | None, int, str]:
    """Read one entry: (name and value, where it ends, ""), or (None, where the bad line ends, what is wrong with it)."""
    bad_end = _end_of(_REST, text, position)
    named = _NAME.match(text, position)
    equals = _EQUALS.match(text, named.end()) if named else None
    if named is None or equals is None:
        return None, bad_end, "is not NAME=VALUE; it is skipped"
    name = named.group(1) or named.group(2)
    if not SHELL_NAME.match(name):
        return None, bad_end, f"{name[:40]!r} is not a name (letters, digits and _); it is skipped"
    value, end = _value(text, equals.end())
    finish = None if value is None else _END.match(text, end)
    if value is None or finish is None:
        return None, bad_end, f"the quotes of {name} are not closed, or text follows them; it is skipped"
    if "\0" in value:
        return None, bad_end, f"the value of {name} holds a NUL; it is skipped"
    return (name, value), finish.end(), ""


def _value(text: str, position: int) -> tuple[str | None, int]:
    """Read a value: (its text, or None when its quotes do not close, and where it ends)."""
    if text[position : position + 1] not in _QUOTED:
        end = _end_of(_BARE, text, position)
        return re.sub(r"\s+#.*", "", text[position:end]).rstrip(), end
    pieces: list[str] = []
    while text[position : position + 1] in _QUOTED:
        body, escape = _QUOTED[text[position]]
        quoted = body.match(text, position)
        if quoted is None:
            return None, position
        pieces.append(escape.sub(lambda found: _ESCAPED.get(found[1], found[1]), quoted[1]))
        position = quoted.end()
    return "".join(pieces), position


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Return where a pattern that matches everywhere ends."""
    found = pattern.match(text, position)
    return found.end() if found else position


def render_env(values: Mapping[str, str]) -> str:
    """Write a `.env` file that `sh`, python-dotenv and `parse_env` all read back as exactly `values`."""
    return "".join(f"{name}={quote(value)}\n" for name, value in values.items())


def quote(value: str) -> str:
    """Quote a value for a `.env` file.

    No one quoting serves every reader: a shell keeps backslashes in single quotes and dotenv does not; `$` and backquotes
    act in a shell's double quotes, and dotenv does not know how to escape them there. Plain values go bare, most others in
    single quotes, those with a quote or backslash in double quotes, where both sides agree on the escapes. What needs both is
    written in pieces side by side, which a shell and this parser read and dotenv skips.
    """
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]*", value):
        return value
    pieces = re.findall(r"[^'\\]+|['\\]+", value) if re.search(r"[$`]", value) else [value]
    return "".join(f"'{piece}'" if not re.search(r"['\\]", piece) else _double(piece) for piece in pieces)


def _double(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
