"""Questions that a turn puts to a person: how each is written in a chat, and what an answer to it means; pure.

What is asked stems from a guest, so all of it is bounded, and what can't be seen is written out: whoever approves a command
must have read that command and no other.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from hermes_iso.errors import TurnError
from hermes_iso.history import clean_text

QUESTION_CHARS = 4_000
CHOICES = 4
CHOICE_CHARS = 300
COMMAND_CHARS = 16_000
"""Longest command that can be approved: it is shown whole or not at all."""
ABOUT_CHARS = 500
PATTERNS = 8
"""Kinds of command that one approval may be about."""
PATTERN_CHARS = 200
ANSWER_CHARS = 20_000
REASON_CHARS = 280
"""Characters of the reason for a refusal; it is cut there."""
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BLANK = re.compile(
    "[\xa0\u034f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200a\u202f\u205f\u2800\u3000\u3164\uffa0"
    "\U000e0100-\U000e01ef]|[\ufe00-\ufe0d]|(?<![\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
)
"""Of the other kinds, what shows nothing or looks like a blank: not what chooses how an emoji before it looks."""
Decision = Literal["once", "session", "always", "deny"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as it is shown.

    kind: clarify or approval. patterns: the kinds of command that an approval for longer than once is about.
    permanent: whether there may be one for good.
    """

    kind: Literal["clarify", "approval"]
    text: str
    choices: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question. given: whether somebody answered; then `decision` is that on an approval.

    text: the answer, the reason for a refusal, or why there is none.
    """

    given: bool
    text: str = ""
    decision: Decision | None = None


def clarify(question: str, choices: tuple[str, ...]) -> Question:
    """Return a question with answers to choose from, or none. Raises TurnError(bad_params)."""
    if not question.strip():
        raise TurnError("bad_params", "A question needs a text.")
    if len(question) > QUESTION_CHARS:
        raise TurnError("bad_params", f"The question has {len(question)} characters, more than {QUESTION_CHARS}: ask shorter.")
    if len(choices) > CHOICES or any(not each.strip() or len(each) > CHOICE_CHARS for each in choices):
        raise TurnError("bad_params", f"A question may have {CHOICES} choices of 1 to {CHOICE_CHARS} characters each.")
    shown = tuple(" ".join(visible(each).split()) for each in choices)
    lines = [visible(question.strip()), *(f"{number}. {choice}" for number, choice in enumerate(shown, 1))]
    if shown:
        lines.append("Answer with a number, or in your own words.")
    return Question("clarify", "\n".join(lines), shown)


def approval(agent: str, command: str, *, about: str, patterns: tuple[str, ...], permanent: bool) -> Question:
    """Return the question whether a command may be run: all of it, every line set apart. Raises TurnError(bad_params)."""
    if not command.strip():
        raise TurnError("bad_params", "An approval needs the command that it is about.")
    if len(command) > COMMAND_CHARS:
        text = f"A command of {len(command)} characters can't be approved: {COMMAND_CHARS} are shown at most."
        raise TurnError("bad_params", text)
    if len(patterns) > PATTERNS or any(not each.strip() or len(each) > PATTERN_CHARS for each in patterns):
        raise TurnError("bad_params", f"An approval may name {PATTERNS} kinds of 1 to {PATTERN_CHARS} characters each.")
    why = f" ({_line(about)[:ABOUT_CHARS]})" if about.strip() else ""
    kinds = ", ".join(f"“{_line(each)}”" for each in patterns)
    longer = "/approve session or /approve always" if permanent else "/approve session"
    how = "/approve allows it this once, /deny [REASON] refuses it."
    how += f" {longer} allows all of the kind {kinds}." if kinds else ""
    lines = "\n".join(f"    {line}" for line in visible(command).split("\n"))
    return Question("approval", f"Agent {agent} asks for approval{why}:\n\n{lines}\n\n{how}", (), patterns, permanent)


def read_clarification(question: Question, said: str) -> str:
    """Return what an answer means: the choice with that number or text, else the answer itself."""
    text = clean_text(said).strip()[:ANSWER_CHARS]
    if text.isascii() and text.isdecimal() and 0 < int(text[:4]) <= len(question.choices):
        return question.choices[int(text[:4]) - 1]
    return next((choice for choice in question.choices if choice.casefold() == text.casefold()), text)


def read_decision(said: str) -> Decision | None:
    """Return the decision that a plain message is, when it is nothing but one; Hermes knows the same words."""
    word = " ".join(said.lower().split())
    return next((decision for decision, words in _WORDS.items() if word in words), None)


_WORDS: dict[Decision, tuple[str, ...]] = {
    "once": ("approve", "yes", "ok", "okay", "confirm", "y", "👍"),
    "session": ("session", "approve session", "session approve"),
    "always": ("always", "approve always", "always approve"),
    "deny": ("deny", "no", "reject", "cancel", "n", "👎"),
}


def visible(text: str) -> str:
    """Return a text in which every character can be seen; line ends and tabs stay."""
    text = _BLANK.sub(lambda found: _written(found[0]), text)
    return "".join(each if each in "\n\t" or unicodedata.category(each) not in _UNSEEN else _written(each) for each in text)


def _written(character: str) -> str:
    """Return a character as an escape."""
    return character.encode("ascii", "backslashreplace").decode() if ord(character) > 126 else f"\\x{ord(character):02x}"


def _line(text: str) -> str:
    """Return a text as one line."""
    return " ".join(visible(text).split())
