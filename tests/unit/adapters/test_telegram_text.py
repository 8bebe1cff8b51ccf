"""From Markdown to messages: what is styled, where it is cut, and that nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import MessageEntity

from hermes_iso_adapters.telegram_text import pieces_of, units

MARKS = ["*", "**", "_", "`", "```\n", "a", " b ", "\n", "[", "](https://a.b)", "~~", "||", "> ", "# "]
BOLD, ITALIC, CODE, PRE, LINK = "bold", "italic", "code", "pre", "text_link"


def styles(markdown):
    """Return the text of a single message and its styles as (kind, what)."""
    [piece] = pieces_of(markdown)
    return piece.text, [(str(span.kind), piece.text[span.start : span.end]) for span in piece.spans]


@pytest.mark.parametrize(
    ("markdown", "text", "found"),
    [
        ("plain", "plain", []),
        ("**bold** and *it*", "bold and it", [(BOLD, "bold"), (ITALIC, "it")]),
        ("**a *b* c**", "a b c", [(BOLD, "a b c"), (ITALIC, "b")]),
        ("`x = *y*`", "x = *y*", [(CODE, "x = *y*")]),
        ("``a`b``", "a`b", [(CODE, "a`b")]),
        ("[here](https://a.example/b_(c))", "here", [(LINK, "here")]),
        ("[no](javascript:alert)", "[no](javascript:alert)", []),
        ("# Head\ntext", "Head\ntext", [(BOLD, "Head")]),
        ("> said\nafter", "said\nafter", [("blockquote", "said")]),
        ("- one\n* two", "• one\n• two", []),
        ("```py\nx = 1\n\ny\n```\nend", "x = 1\n\ny\nend", [(PRE, "x = 1\n\ny")]),
        ("```\nnot *closed*", "not *closed*", [(PRE, "not *closed*")]),
        ("~~no~~ ||secret||", "no secret", [("strikethrough", "no"), ("spoiler", "secret")]),
        ("2*3*4 and a_b_c and __init__", "2*3*4 and a_b_c and __init__", []),
        (r"\*as it is\*", "*as it is*", []),
        ("**never closed", "**never closed", []),
        ("x\n\n\n", "x", []),
    ],
)
def test_markdown_becomes_text_and_styles(markdown, text, found):
    """What is understood is a style, all else stays as it was written."""
    assert styles(markdown) == (text, found)


def test_a_blank_text_is_no_message():
    """Telegram takes none."""
    assert pieces_of("") == pieces_of(" \n \n") == []


def test_a_code_block_that_is_cut_is_one_in_both_messages():
    """With its language, and the cut is between two lines."""
    first, second = pieces_of("```py\n" + "a = 1\n" * 20 + "```", limit=80)
    assert [[span.kind for span in piece.spans] for piece in (first, second)] == [[PRE], [PRE]]
    assert {span.extra for piece in (first, second) for span in piece.spans} == {"py"}
    assert first.text.endswith("a = 1")


@pytest.mark.parametrize(
    ("text", "limit", "texts"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("first line\nsecond line", 16, ["first line", "second line"]),
        ("one.\n\ntwo three four", 12, ["one.\n\ntwo", "three four"]),
        ("\U0001f600" * 5, 4, ["\U0001f600" * 2, "\U0001f600" * 2, "\U0001f600"]),
        ("aaaae\u0301bbb", 5, ["aaaa", "e\u0301bbb"]),
        ("aaa\U0001f468\u200d\U0001f469bb", 7, ["aaa", "\U0001f468\u200d\U0001f469bb"]),
    ],
)
def test_a_long_text_is_cut_where_it_may_be(text, limit, texts):
    """Between paragraphs, lines, sentences, words; never within what is one character to a reader."""
    assert [piece.text for piece in pieces_of(text, limit)] == texts


@given(st.text(st.characters(codec="utf-8"), max_size=600), st.integers(20, 200))
def test_no_message_is_too_long_and_nothing_is_lost(text, limit):
    """Every piece fits and is not blank, its styles lie in it, and together they have every letter of plain text."""
    pieces = pieces_of(text, limit)
    for piece in pieces:
        assert 0 < units(piece.text) <= limit
        assert piece.text.strip()
        for entity in piece.entities:
            assert 0 <= entity.offset < entity.offset + entity.length <= units(piece.text)
    if not set(text) & set("*_~|`[]()\\#>-+\r"):
        assert "".join("".join(piece.text for piece in pieces).split()) == "".join(text.split())


@given(
    st.lists(st.sampled_from(["*", "**", "_", "`", "```\n", "a", " b ", "\n", "[", "](https://a.b)", "~~", "||", "> ", "# "]))
)
def test_any_mixture_of_marks_is_a_valid_message(parts):
    """Styles are never empty or out of range, however the marks are nested."""
    for piece in pieces_of("".join(parts), 30):
        for entity in piece.entities:
            assert isinstance(entity, MessageEntity)
            assert entity.offset + entity.length <= units(piece.text)
