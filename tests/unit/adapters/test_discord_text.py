"""Discord's messages: cut where it may be cut, with whole code blocks."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso_adapters.chat_text import units
from hermes_iso_adapters.discord_text import pieces_of

WORDS = st.lists(
    st.sampled_from(["word ", "```\n", "\n```py\n", "\n\n", "x" * 70, "😀" * 30, "~~~\n", "`", ". ", "é"]), max_size=120
)


@pytest.mark.parametrize(("text", "pieces"), [("", []), ("\n \n", []), ("hello", ["hello"]), ("a" * 2000, ["a" * 2000])])
def test_short_texts_are_one_message(text, pieces):
    """A blank one is none."""
    assert pieces_of(text) == pieces


def test_a_code_block_that_is_cut_ends_and_begins_again():
    """In its language."""
    text = "before\n```python\n" + "\n".join(f"line {number}" for number in range(400)) + "\n```\nafter"
    pieces = pieces_of(text)
    assert len(pieces) > 1
    assert all(len(piece) <= 2000 for piece in pieces)
    assert all(piece.startswith("```python\n") for piece in pieces[1:])
    assert all(piece.endswith("\n```") for piece in pieces[:-1])
    lines = [line for piece in pieces for line in piece.split("\n") if line.startswith("line")]
    assert lines == [f"line {number}" for number in range(400)]


@given(WORDS)
def test_every_piece_fits_and_nothing_is_lost(words):
    """Whatever a model writes."""
    text = "".join(words)
    pieces = pieces_of(text, limit=300)
    assert all(0 < units(piece) <= 300 for piece in pieces)

    def letters(said):
        return "".join(re.findall(r"[wordx😀é.]", said))

    assert letters("".join(pieces)) == letters(text)
