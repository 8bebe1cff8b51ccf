"""Find the place in a text that a model means: exactly, else by lines whose white space differs."""

from __future__ import annotations

from collections.abc import Callable

_FORMS: tuple[Callable[[str], str], ...] = (str, str.rstrip, str.strip, lambda line: " ".join(line.split()))
"""Forms in which two lines are compared, from strict to loose."""


class NoMatchError(ValueError):
    """A text has no such place, or more than one; the text of the error says which."""


def substitute(text: str, old: str, new: str, *, every: bool = False) -> tuple[str, int]:
    """Return `text` with `old` replaced by `new`, and how often. Raises NoMatchError unless it is once, or `every`."""
    if not old:
        raise NoMatchError("the text to find is empty")
    if old == new:
        raise NoMatchError("the text to find and the new text are the same")
    count = text.count(old)
    if count == 1 or (count and every):
        return text.replace(old, new), count
    if count:
        raise NoMatchError(f"the text to find is there {count} times: give more of what is around it, or set replace_all")
    spans = _line_spans(text, old)
    if not spans:
        raise NoMatchError(f"the text to find is not there{_nearest(text, old)}")
    if len(spans) > 1 and not every:
        raise NoMatchError(f"the text to find is there {len(spans)} times, but for white space: give it exactly")
    for start, end in reversed(spans):
        text = text[:start] + _indented_as(text[start:end], old, new) + text[end:]
    return text, len(spans)


def find_lines(lines: list[str], wanted: list[str]) -> list[int]:
    """Return where `wanted` begins among `lines`, in the strictest form of comparison that finds it; none overlap."""
    if not any(line.strip() for line in wanted):
        return []
    for form in _FORMS:
        have, want = list(map(form, lines)), list(map(form, wanted))
        found: list[int] = []
        for index in range(len(have) - len(want) + 1):
            free = not found or index >= found[-1] + len(want)
            if free and have[index] == want[0] and have[index : index + len(want)] == want:
                found.append(index)
        if found:
            return found
    return []


def _line_spans(text: str, old: str) -> list[tuple[int, int]]:
    """Return where whole lines of `text` are those of `old`, as positions in the text."""
    lines, wanted = text.split("\n"), old.strip("\n").split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    return [(starts[index], starts[index + len(wanted)] - 1) for index in find_lines(lines, wanted)]


def _indented_as(found: str, old: str, new: str) -> str:
    """Return `new` moved to the indentation of what was found, where `old` was given with another one."""
    have, given = _indentation(found), _indentation(old.strip("\n"))
    new = new.strip("\n") if old.endswith("\n") or old.startswith("\n") else new
    if have == given:
        return new
    moved = []
    for line in new.split("\n"):
        fits = line.strip() and line.startswith(given)
        moved.append(have + line[len(given) :] if fits else line)
    return "\n".join(moved)


def _indentation(text: str) -> str:
    """Return the white space before the first line that has anything else."""
    line = next((line for line in text.split("\n") if line.strip()), "")
    return line[: len(line) - len(line.lstrip())]


def _nearest(text: str, old: str) -> str:
    """Return a hint at the line that resembles the first wanted one, where there is one."""
    first = next((line.strip() for line in old.split("\n") if line.strip()), "")
    if len(first) < 4:
        return ""
    for number, line in enumerate(text.split("\n"), start=1):
        if first[:40] in line or (len(line.strip()) > 8 and line.strip()[:40] in first):
            return f"; line {number} comes nearest: {line.strip()[:120]!r}"
    return ""
