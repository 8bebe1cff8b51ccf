"""Edit YAML text in place: set, append or remove one thing, and leave every other byte as its author wrote it.

Loading and dumping would lose spacing, quotes and line ends, also with a library that keeps comments. So the text is only
parsed for places, and what changes is cut out or put in there, in the style that stands around it. That can't be right for all
of YAML; it need not be, because every edit is checked: the new text must mean exactly the old data with the change made.
What does not is refused, with nothing written.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from hermes_iso.config.problems import ProblemList, key_text
from hermes_iso.config.yaml_text import KeyPath, parse_document
from hermes_iso.errors import UsageError

_STEP = 2
"""Columns by which what is new is indented below its key."""


@dataclass(frozen=True, slots=True)
class Set:
    """Put a key that is not there yet, as the last one of its mapping; mappings on the way are made."""

    path: KeyPath
    value: Any


@dataclass(frozen=True, slots=True)
class Append:
    """Put an item at the end of a list that is there."""

    path: KeyPath
    value: Any


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a key with its value, or an item of a list, away. A collection that is left empty stays, as {} or []."""

    path: KeyPath


Edit = Set | Append | Remove


_WORDS = {Set: "Add", Append: "Add to", Remove: "Remove"}


def edited(text: str, edits: Sequence[Edit], file: str) -> str:
    """Return YAML text with edits made one after the other; `file` names it in errors.

    Raises UsageError for a text that is too unusual to be edited safely: then do it by hand.
    """
    for edit in edits:
        wanted = _applied(_data(text, file), edit)
        try:
            new = _edited(text, edit)
            if _data(new, file) != wanted:
                raise _UnusualError
        except (_UnusualError, yaml.YAMLError, UsageError):
            what = {Set: "Add", Append: "Add to", Remove: "Remove"}[type(edit)]
            more = f": {yaml.safe_dump(edit.value, default_flow_style=True).strip()}" if not isinstance(edit, Remove) else ""
            raise UsageError(
                f"{file} is written in a way that can't be edited safely here. {what} {key_text(edit.path)} by hand{more}"
            ) from None
        text = new
    return text


class _UnusualError(Exception):
    """The text is not laid out in a way that this module knows."""


@dataclass(slots=True)
class _Node:
    """A value and where it stands: characters from `start` to `end`. A mapping's `children` are its keys and values in turn."""

    kind: str
    start: int
    end: int
    column: int
    flow: bool = True
    value: str = ""
    children: list[_Node] = field(default_factory=list)

    @property
    def content_end(self) -> int:
        """Where its last character stands; the parser ends what is indented only at whatever follows."""
        return self.end if self.flow or not self.children else self.children[-1].content_end

    def pairs(self) -> list[tuple[_Node, _Node]]:
        """Return the keys and values of a mapping."""
        return list(zip(self.children[::2], self.children[1::2], strict=True))


def _parsed(text: str) -> _Node | None:
    """Return the one document's top node, None when the text holds nothing but comments. Aliases are nodes of their own."""
    events = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        if isinstance(event, yaml.NodeEvent | yaml.CollectionStartEvent):
            return _node(event, events, text)
    return None


def _node(event: Any, events: Iterator[Any], text: str) -> _Node:
    place = _marks(event)
    if isinstance(event, yaml.ScalarEvent):
        end = len(text[: place[1]].rstrip()) if event.style in ("|", ">") else place[1]
        return _Node("scalar", place[0], end, place[2], value=event.value)
    if isinstance(event, yaml.AliasEvent):
        return _Node("alias", *place)
    node = _Node("mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence", *place, flow=bool(event.flow_style))
    for below in events:
        if isinstance(below, yaml.CollectionEndEvent):
            node.end = _marks(below)[1]
            return node
        node.children.append(_node(below, events, text))
    raise _UnusualError


def _marks(event: Any) -> tuple[int, int, int]:
    """Return where an event starts and ends, and its column."""
    return event.start_mark.index, event.end_mark.index, event.start_mark.column


def _data(text: str, file: str) -> dict[str, Any]:
    """Return what a text means. Raises UsageError when it is wrong."""
    problems = ProblemList()
    document = parse_document(text, file, problems=problems)
    if problems.problems:
        raise UsageError("\n".join(map(str, problems.problems)))
    return document.data


def _applied(data: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """Return what the data has to be after an edit."""
    data = copy.deepcopy(data)
    place: Any = data
    for part in edit.path[:-1] if not isinstance(edit, Append) else edit.path:
        if isinstance(place, dict) and place.get(part) is None:
            place[part] = {}
        place = place[part]
    if isinstance(edit, Set):
        place[edit.path[-1]] = edit.value
    elif isinstance(edit, Append):
        place.append(edit.value)
    else:
        del place[edit.path[-1]]
    return data


def _edited(text: str, edit: Edit) -> str:
    """Return the text with one edit made. Raises _UnusualError."""
    top = _parsed(text)
    if isinstance(edit, Set):
        return _set(text, top, edit.path, edit.value)
    if top is None:
        raise _UnusualError
    if isinstance(edit, Append):
        return _append(text, _found(top, edit.path)[-1][1], edit.value)
    return _remove(text, top, edit.path)


def _found(top: _Node, path: KeyPath) -> list[tuple[_Node | None, _Node]]:
    """Return (key, value) at every step of a path, the top first. Raises _UnusualError where it does not lead on."""
    steps: list[tuple[_Node | None, _Node]] = [(None, top)]
    for part in path:
        node = steps[-1][1]
        pair: tuple[_Node | None, _Node] | None
        if node.kind == "mapping":
            pair = next(((key, value) for key, value in node.pairs() if key.kind == "scalar" and key.value == part), None)
        else:
            pair = (None, node.children[part]) if isinstance(part, int) and part < len(node.children) else None
        if pair is None:
            raise _UnusualError
        steps.append(pair)
    return steps


def _set(text: str, top: _Node | None, path: KeyPath, value: Any) -> str:
    """Put a key at the end of the deepest mapping on its path that is there."""
    steps = _found(top, ()) if top is not None else []
    depth = 0
    while steps and depth < len(path) - 1:
        try:
            steps = _found(steps[0][1], path[: depth + 1])
        except _UnusualError:
            break
        depth += 1
    for part in reversed(path[depth + 1 :]):
        value = {part: value}
    if not steps:
        return _inserted(text, len(text), _block({path[depth]: value}, 0))
    key, node = steps[-1]
    if node.kind == "mapping" and node.flow and not (key is not None and not node.children and _alone(text, node)):
        entry = _flow({path[depth]: value})[1:-1]
        return _put_in(text, node, entry)
    if node.kind == "mapping" and not node.flow:
        column = node.children[0].column
        place = len(text) if key is None else _lines_end(text, node.content_end, column)
        return _inserted(text, place, _block({path[depth]: value}, column))
    if key is None or (node.kind != "mapping" and text[node.start : node.end] not in ("", "~", "null")):
        raise _UnusualError
    start = len(text[: node.start].rstrip(" "))
    text = text[:start] + text[node.end :]
    return _inserted(text, _line_end(text, start), _block({path[depth]: value}, key.column + _STEP))


def _append(text: str, node: _Node, value: Any) -> str:
    """Put an item at the end of a list."""
    if node.kind != "sequence":
        raise _UnusualError
    if node.flow:
        return _put_in(text, node, _flow([value])[1:-1])
    column = _dash(text, node.children[0]) - _line_start(text, _dash(text, node.children[0]))
    return _inserted(text, _lines_end(text, node.content_end, column), _block([value], column))


def _put_in(text: str, node: _Node, entry: str) -> str:
    """Put an entry at the end of a collection in brackets."""
    place = node.children[-1].end if node.children else node.end - 1
    return text[:place] + (", " if node.children else "") + entry + text[place:]


def _remove(text: str, top: _Node, path: KeyPath) -> str:
    """Take an entry of a mapping, or an item of a list, away."""
    steps = _found(top, path)
    key, value = steps[-1]
    parent_key, parent = steps[-2]
    entries = parent.pairs() if parent.kind == "mapping" else [(node, node) for node in parent.children]
    number = next(number for number, (_, each) in enumerate(entries) if each is value)
    if parent.flow:
        return _cut_flow(text, [(first.start, last.end) for first, last in entries], number)
    begin = key.start if key is not None else _dash(text, value)
    start = _line_start(text, begin)
    if text[start:begin].strip(" "):
        raise _UnusualError
    end = _lines_end(text, max(value.content_end, begin), begin - start)
    text = text[:start] + text[end:]
    if len(entries) > 1 or parent_key is None:
        return text
    colon = text.index(":", parent_key.end) + 1
    return text[:colon] + (" {}" if parent.kind == "mapping" else " []") + text[colon:]


def _cut_flow(text: str, places: list[tuple[int, int]], number: int) -> str:
    """Cut an entry out of a collection in brackets, with the comma that parts it from the next or the last."""
    start, end = places[number]
    if number + 1 < len(places):
        end = places[number + 1][0]
    elif number:
        start = places[number - 1][1]
    return text[:start] + text[end:]


def _dash(text: str, item: _Node) -> int:
    """Return where the dash of an item stands."""
    place = text.rfind("-", 0, item.start)
    if place < 0 or text[place + 1 : item.start].strip():
        raise _UnusualError
    return place


def _alone(text: str, node: _Node) -> bool:
    """Say whether nothing but a comment follows a value on its line."""
    rest = text[node.end : _line_end(text, node.end)].strip()
    return not rest or rest.startswith("#")


def _line_start(text: str, place: int) -> int:
    return text.rfind("\n", 0, place) + 1


def _line_end(text: str, place: int) -> int:
    """Return where the line after the one at `place` begins."""
    return text.find("\n", place) + 1 or len(text)


def _lines_end(text: str, place: int, column: int) -> int:
    """Return where the lines of an entry end: its last one, and the comments below that are indented deeper than it."""
    end = _line_end(text, place)
    while end < len(text):
        line = text[end : _line_end(text, end)]
        if not line.lstrip(" ").startswith("#") or len(line) - len(line.lstrip(" ")) <= column:
            break
        end = _line_end(text, end)
    return end


def _inserted(text: str, place: int, lines: str) -> str:
    """Put whole lines at the beginning of a line or at the end of the text, with the text's own line ends."""
    break_ = "\r\n" if "\r\n" in text else "\n"
    before = text[:place]
    if before and not before.endswith("\n"):
        before += break_
    return before + lines.replace("\n", break_) + text[place:]


def _block(value: Any, column: int) -> str:
    """Return a value as lines."""
    lines = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1 << 20, default_flow_style=False)
    return "".join(" " * column + line for line in lines.splitlines(keepends=True))


def _flow(value: Any) -> str:
    """Return a value in brackets."""
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1 << 20, default_flow_style=True).strip()
