"""ProblemList: gathers everything that is wrong with a home's files, so that one run reports it all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hermes_iso.errors import ConfigError, Problem


@dataclass(slots=True)
class ProblemList:
    """What was found so far: problems, which refuse the config, and warnings, which do not."""

    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _noted: set[Problem | str] = field(default_factory=set)

    def add(self, file: str, line: int, *, key: str, message: str) -> None:
        """Note a problem; the same one twice counts once."""
        problem = Problem(file, max(line, 1), key, message)
        if problem not in self._noted:
            self._noted.add(problem)
            self.problems.append(problem)

    def warn(self, sentence: str) -> None:
        """Note a warning, as one sentence."""
        if sentence not in self._noted:
            self._noted.add(sentence)
            self.warnings.append(sentence)

    def raise_if_any(self) -> None:
        """Raise ConfigError with every problem, by file and line, if there is one."""
        if self.problems:
            raise ConfigError(sorted(self.problems))


def key_text(path: Sequence[str | int]) -> str:
    """Write a key path as people do: agents.coder.sandbox, routes[0].match."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(top level)"


def numbered(texts: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield the items of a list that are right, each with its place in the file."""
    return ((index, text) for index, text in enumerate(texts) if text)


def possible(word: str, known: Iterable[str]) -> str:
    """Return what to do about an unknown word: the nearest known one, else all of them."""
    known = sorted(known)
    return suggestion(word, known) or (f"; possible: {', '.join(known)}" if known else "; remove it")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean "x"?' for the nearest known word, or ''."""
    near = difflib.get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
