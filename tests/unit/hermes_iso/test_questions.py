"""Questions to people: what can't be seen in one is written out."""

from __future__ import annotations

import pytest

from hermes_iso.questions import visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ls\u3164\u115f\uffa0\u2800", "ls\\u3164\\u115f\\uffa0\\u2800"),
        ("exec('\U000e0101\U000e0162')", "exec('\\U000e0101\\U000e0162')"),
        ("a\ufe0f\ufe00b\u034f", "a\\ufe0f\\ufe00b\\u034f"),
        ("rm\xa0x\u2003y\u3000z", "rm\\xa0x\\u2003y\\u3000z"),
        ("⚠️ Übung über 学习 ❤️ नमस्ते", "⚠️ Übung über 学习 ❤️ नमस्ते"),
    ],
)
def test_what_shows_nothing_is_written_out(text: str, seen: str):
    """Letters and marks that have no shape could carry what a command runs, past whoever approves it."""
    assert visible(text) == seen
