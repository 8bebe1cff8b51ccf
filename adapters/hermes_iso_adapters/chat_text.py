"""The texts of chats: what of a user's is taken, and where a long answer may be cut into messages."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]")
_BREAKS = (("\n\n", 2), ("\n", 1), (". ", 2), (" ", 1))
"""Where a message may be cut, the best first, and how much of each stays before the cut."""


def clean(text: str) -> str:
    """Return a user's text without characters that only hide or turn round others, and without halves of characters."""
    return _INVISIBLE.sub("", text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def units(text: str) -> int:
    """Return how many UTF-16 units a text has."""
    return len(text) + sum(character > "\uffff" for character in text)


def end_of_piece(text: str, start: int, limit: int) -> int:
    """Return where the piece ends that starts at `start`: after a paragraph, a line, a sentence, a word, else anywhere.

    limit: in UTF-16 units.
    """
    end = min(len(text), start + limit)
    while (over := units(text[start:end]) - limit) > 0:
        end -= (over + 1) // 2
    if end == len(text):
        return end
    for mark, kept in _BREAKS:
        found = text.rfind(mark, start + (end - start) // 2, end + (kept == 1))
        if found >= start and found + kept <= end + 1:
            return min(found + kept, end) or end
    return _between_characters(text, start, end)


def _between_characters(text: str, start: int, end: int) -> int:
    """Move a cut back so that no accent, joiner or half of a flag is taken from what it belongs to."""
    at = end
    while at > max(start + 1, end - 32) and (_joins(text[at]) or text[at - 1] == "\u200d"):
        at -= 1
    return at if at > start + 1 or end == start + 1 else end


def _joins(character: str) -> bool:
    """Say whether a character is one with the one before it."""
    return (
        unicodedata.combining(character) != 0 or character in "\u200d\ufe0f\u20e3" or "\U0001f3fb" <= character <= "\U0001f3ff"
    )
