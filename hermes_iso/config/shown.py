"""Shown: every host directory that some agent gets, compared with every other by where it really lies.

A sandbox is made long after the config was read, and then each source is looked up by its path again. So nothing that an
agent can write may decide where another source leads: neither by holding it, nor by holding a symlink on the way to it.
Whoever could rename a directory above a source would choose what the next sandbox shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from hermes_iso.config.problems import ProblemList
from hermes_iso.profiles import is_within
from hermes_iso_sandbox.confinement import Bind

_MOST_SYMLINKS = 40
"""As many as the kernel follows in one path."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A directory that an agent gets, and the line that gives it.

    spelled: its absolute path as written; real: the same with symlinks resolved; target: where it appears inside.
    partners: the agents with whom it is shared by agreement; see `shared`.
    detours: the places on the way as spelled that do not lie on the real one.
    """

    agent: str
    file: str
    line: int
    key: str
    spelled: str
    real: str
    target: str
    writable: bool = True
    partners: frozenset[str] = frozenset()
    detours: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detours", _detours(self.spelled, self.real))

    @property
    def named(self) -> str:
        """The directory as a message names it: where it lies, after how it is written where that differs."""
        return self.real if self.spelled == self.real else f"{self.spelled} (which is {self.real})"

    @property
    def grant(self) -> str:
        """Who may do what with the directory, and by which line, as a message goes on."""
        may = "can write" if self.writable else "can read"
        return f"agent {self.agent} {may} ({self.key} in {self.file}:{self.line})"

    def covers(self, other: Shown) -> bool:
        """Say whether `other` is visible anyhow, at the path and in the mode that it asks for."""
        below = other.real[len(self.real) :]
        same_place = is_within(other.real, self.real) and other.target == self.target + below
        return self.agent == other.agent and self.writable == other.writable and same_place


def binds_of(shown: Iterable[Shown]) -> tuple[Bind, ...]:
    """Return the binds of one agent's further directories: parents first, and none that another one covers."""
    kept: list[Shown] = []
    for each in sorted(shown, key=lambda each: each.target):
        if not any(above.covers(each) for above in kept):
            kept.append(each)
    return tuple(Bind(each.real, each.target, each.writable) for each in kept)


def check_homes(homes: Iterable[Shown], shown: Sequence[Shown], problems: ProblemList) -> list[str]:
    """Note each home whose way leads through what an agent can write; return the agents of those.

    What holds a home as a whole, or lies in another agent's, was refused by itself: see `Places`.
    """
    bad: list[Shown] = []
    for home in homes:
        holder = next((each for each in shown if each.writable and _turn(home, each)), None)
        if not holder:
            continue
        if not any(is_within(home.spelled, each.spelled) for each in bad):
            message = f"{home.named} is reached through {holder.real}, which {holder.grant}; move it"
            _complain(problems, home, message)
        bad.append(home)
    return [home.agent for home in bad]


def check_shown(shown: Sequence[Shown], problems: ProblemList) -> None:
    """Note each directory whose way leads through another one, and each that overlaps with one that an agent can write."""
    for each in (each for each in shown if each.detours):
        others = (other for other in shown if other.writable or other.agent == each.agent)
        turn, other = next(((turn, other) for other in others if (turn := _turn(each, other))), ("", each))
        if turn:
            message = f"{each.named} is reached through {turn}, in a directory that {other.grant}; name the target itself"
            _complain(problems, each, message)
    for upper, lower in _nested(shown):
        complaint = _overlap(upper, lower)
        if complaint:
            _complain(problems, lower, complaint)


def _turn(shown: Shown, other: Shown) -> str:
    """Return the first place strictly below `other` that decides where the way to `shown` leads, or ''."""
    return next((place for place in shown.detours if is_within(os.path.dirname(place), other.real)), "")


def _nested(shown: Iterable[Shown]) -> Iterator[tuple[Shown, Shown]]:
    """Yield every pair where the second lies in the first or is the same, in one pass: there may be many agents."""
    above: list[Shown] = []
    for each in sorted(shown, key=lambda each: each.real.split("/")):
        while above and not is_within(each.real, above[-1].real):
            above.pop()
        yield from ((upper, each) for upper in above)
        above.append(each)


def _overlap(upper: Shown, lower: Shown) -> str:
    """Say why two directories, the second in the first or the same, can't both be shown, or ''."""
    if not (upper.writable or lower.writable) or upper.covers(lower):
        return ""
    both = upper.writable and lower.writable
    if upper.real == lower.real and (lower.agent in upper.partners or upper.agent in lower.partners):
        return ""  # both want it so, and no agent can write on the way to it
    if upper.real == lower.real:
        # One directory has one way to it, and no agent can write there: only what may be done in it can disagree.
        if both == (upper.agent == lower.agent):
            return ""
        if both:
            return f"{lower.named} is a directory that {upper.grant} as well; give each agent a directory of its own"
        return f"{lower.named} is a directory that {upper.grant} already; keep one of them"
    below = lower.real[len(upper.real) :]
    if upper.agent == lower.agent and not upper.writable and lower.target == upper.target + below:
        return ""  # a place to write within what is read: the way to it is read-only, and the mount point is there already
    return f"{lower.named} lies in {upper.real}, which {upper.grant}; keep one of them, or name a directory elsewhere"


def _complain(problems: ProblemList, shown: Shown, message: str) -> None:
    problems.add(shown.file, shown.line, key=shown.key, message=message)


def _detours(spelled: str, real: str) -> tuple[str, ...]:
    """Return the places that decide where a path leads and do not lie on its real path: symlinks, for the most part."""
    if spelled == real:
        return ()
    passed: list[str] = []
    pending, here, followed = spelled.split("/")[::-1], "/", 0
    while pending and followed < _MOST_SYMLINKS:
        part = pending.pop()
        if part in ("", ".", ".."):
            here = os.path.dirname(here) if part == ".." else here
            continue
        place = os.path.join(here, part)
        passed.append(place)
        try:
            leads = os.readlink(place)
        except OSError:  # no symlink, the usual case
            here = place
            continue
        pending += leads.split("/")[::-1]
        here = "/" if leads.startswith("/") else here
        followed += 1
    return tuple(place for place in passed if not is_within(real, place))
