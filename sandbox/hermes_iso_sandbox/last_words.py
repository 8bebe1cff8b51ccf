"""What a process said on its stderr before it ended, as one sentence's worth of words."""

from __future__ import annotations


def last_words(said: bytes) -> str:
    """Return the words on one line; of a Python traceback, only the error that it ends with."""
    text = said.decode(errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    if "Traceback (most recent call last)" in text:
        lines = lines[-1:]
    return " ".join(" ".join(lines).split()) or "it ended without a word"
