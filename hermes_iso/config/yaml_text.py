"""YAML text to plain data that remembers where everything stood, with every mistake as a Problem.

`yaml.safe_load` forgets lines, takes the last of two equal keys, and turns the chat id 0123 into 83. So the text is only
composed into nodes, which know their place, and this walker makes the values. Scalars get the types that Hermes' own loader
gives them; the text as it stood is kept beside them, for ids. Size, depth and the number of values are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from hermes_iso.config.problems import ProblemList, key_text
from hermes_iso.profile_files import CONFIG_LIMIT, YAML_LOADER, UnreadableError, nests_deeper, read_bounded

KeyPath: TypeAlias = tuple[str | int, ...]

VALUES = 50_000
"""Values that a document may hold beyond those that it can write out: an alias may name a large part many times."""
DEPTH_LIMIT = 64
_TAG = "tag:yaml.org,2002:"
_TEXTS = (f"{_TAG}str", f"{_TAG}value", f"{_TAG}timestamp")
_TYPED: Mapping[str, Callable[[Any, yaml.ScalarNode], Any]] = {
    f"{_TAG}null": yaml.SafeLoader.construct_yaml_null,
    f"{_TAG}bool": yaml.SafeLoader.construct_yaml_bool,
    f"{_TAG}int": yaml.SafeLoader.construct_yaml_int,
    f"{_TAG}float": yaml.SafeLoader.construct_yaml_float,
}


@dataclass(frozen=True, slots=True)
class Document:
    """One file's data. `lines` has the line of every key path, `texts` every scalar as it stands in the file.

    odd_keys: key paths whose key is not text; their text stands in for it.
    """

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    texts: Mapping[KeyPath, str] = field(default_factory=dict)
    odd_keys: frozenset[KeyPath] = frozenset()

    def line(self, path: KeyPath) -> int:
        """Return the line of a key, or of its nearest parent that is there."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 1)

    def get(self, *path: str | int) -> Any:
        """Return the value at a key path, or None where there is none."""
        value: Any = self.data
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def complain(self, problems: ProblemList, path: KeyPath, *, message: str) -> None:
        """Note a problem with the key at `path`."""
        problems.add(self.file, self.line(path), key=key_text(path), message=message)


def read_document(path: Path, problems: ProblemList) -> Document:
    """Read a YAML file; a missing one is an empty document, and so is one with problems, which are noted."""
    file = str(path)
    try:
        content = read_bounded(path, CONFIG_LIMIT)
    except UnreadableError as error:
        problems.add(file, 1, key="file", message=str(error))
        return Document(file)
    try:
        text = (content or b"").decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = (content or b"").count(b"\n", 0, error.start) + 1
        problems.add(file, line, key="file", message="is not UTF-8 here; save it as UTF-8")
        return Document(file)
    return parse_document(text, file, problems=problems)


def parse_document(text: str, file: str, *, problems: ProblemList) -> Document:
    """Read YAML text whose top level is a mapping; see `read_document`."""
    if nests_deeper(text, DEPTH_LIMIT):
        problems.add(file, 1, key="file", message=f"nests deeper than {DEPTH_LIMIT} levels; make it flat")
        return Document(file)
    try:
        node = yaml.compose(text, Loader=YAML_LOADER)
    except yaml.YAMLError as error:
        line, message = _syntax(error)
        problems.add(file, line, key="file", message=message)
        return Document(file)
    except (RecursionError, ValueError):
        problems.add(file, 1, key="file", message="can't be read as YAML: it nests too deeply or holds a bad character")
        return Document(file)
    if node is None:
        return Document(file)
    walker = _Walker(file, problems, most=VALUES + len(text) // 2)
    try:
        data = walker.value(node, ())
    except _TooMuchError as error:
        problems.add(file, error.line, key="file", message=str(error))
        return Document(file)
    if data is None:
        return Document(file)
    if not isinstance(data, dict):
        problems.add(file, 1, key="(top level)", message=f"must be a mapping of keys to values, found {kind_of(data)}")
        return Document(file)
    return Document(file, data, walker.lines, walker.texts, frozenset(walker.odd_keys))


def kind_of(value: Any) -> str:
    """Name the kind of a value as people do who write YAML."""
    names: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "text", dict: "a mapping"}
    return "nothing" if value is None else names.get(type(value), "a list")


def _syntax(error: yaml.YAMLError) -> tuple[int, str]:
    """Return (line, sentence) for a text that is no YAML."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "the text can't be read")
    if "expected a single document" in str(getattr(error, "context", "")):
        return line, "holds several YAML documents; keep one and remove the line '---'"
    if "but found another document" in what:
        return line, "holds several YAML documents; keep one and remove the line '---'"
    return line, f"is not valid YAML: {what}"


class _TooMuchError(Exception):
    """The document is larger, once its aliases count in full, than any config."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Walker:
    """Makes values from nodes; keeps lines and texts; notes problems and goes on."""

    def __init__(self, file: str, problems: ProblemList, *, most: int) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.texts: dict[KeyPath, str] = {}
        self.odd_keys: set[KeyPath] = set()
        self._file = file
        self._problems = problems
        self._maker = yaml.SafeLoader("")
        self._most = most
        self._count = 0

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        """Return the plain value of a node."""
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._count += 1
        if self._count > self._most:
            raise _TooMuchError(line, f"holds more than {self._most} values, aliases counted in full; make it smaller")
        if len(path) > DEPTH_LIMIT:
            raise _TooMuchError(line, f"nests deeper than {DEPTH_LIMIT} levels, or an alias holds itself; make it flat")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and (node.tag in _TEXTS or node.tag in _TYPED):
            return self._scalar(node, path)
        tag = node.tag.replace(_TAG, "!!")
        self._complain(line, path, f"has the tag {tag!r}, which a config can't hold; write a plain value")
        return None

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        self.texts[path] = node.value
        if node.tag in _TEXTS:
            return node.value
        try:
            return _TYPED[node.tag](self._maker, node)
        except (ValueError, KeyError, OverflowError):
            self._complain(node.start_mark.line + 1, path, f"is not what its tag says: {node.value[:40]!r}")
            return None

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node, own in self._pairs(node, path, 0):
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(line, path, "has a key that is not text; write a word before the colon")
                continue
            below = (*path, key_node.value)
            if key_node.value in found:
                if own:
                    self._complain(line, below, f"is here twice, first in line {self.lines[below]}; keep one")
                continue
            if key_node.tag not in _TEXTS:
                self.odd_keys.add(below)
            self.lines[below] = line
            found[key_node.value] = self.value(value_node, below)
        return found

    def _pairs(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> Iterator[tuple[yaml.Node, yaml.Node, bool]]:
        """Yield (key, value, whether it is the mapping's own): its own pairs first, then those that `<<` brings."""
        line = node.start_mark.line + 1
        if depth > DEPTH_LIMIT:
            raise _TooMuchError(line, "merges (<<) itself; write the values out")
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == f"{_TAG}merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                yield key_node, value_node, depth == 0
        for source in merged:
            self._count += 1
            if not isinstance(source, yaml.MappingNode):
                self._complain(line, path, "merges (<<) something that is not a mapping; write the values out")
            elif self._count > self._most:
                raise _TooMuchError(line, f"holds more than {self._most} values, aliases counted in full; make it smaller")
            else:
                yield from self._pairs(source, path, depth + 1)

    def _complain(self, line: int, path: KeyPath, message: str) -> None:
        self._problems.add(self._file, line, key=key_text(path), message=message)
