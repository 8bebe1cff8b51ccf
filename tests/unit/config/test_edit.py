"""Edits of YAML text: the one thing changes, every other byte stays, and what can't be done safely is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.config.edit import Append, Edit, Remove, Set, edited
from hermes_iso.errors import UsageError

COMMENTED = """\
# head
model: x   # the model

agents:   # the agents
    # about coder
    coder:
        model:   "a/b"
        # still about coder
    # about two
    two: {model: x,provider: y}   # same line

routes:
- match: {platform: telegram}   # one
  agent: coder
# between
- {match: {platform: discord}, agent: two}
gateway: {serve: [main, coder,  two], unmatched: default}
# foot
"""
CODER = '    coder:\n        model:   "a/b"\n        # still about coder\n'
NEW = Set(("agents", "new"), {"model": "p/n"})
CASES: list[tuple[str, str, tuple[Edit, ...], str]] = [
    ("key at the end of its mapping", COMMENTED, (NEW,), "# same line\n|# same line\n    new:\n      model: p/n\n"),
    ("key removed with the comments inside it", COMMENTED, (Remove(("agents", "coder")),), f"{CODER}|"),
    ("key removed with what it says in brackets", COMMENTED, (Remove(("agents", "two", "provider")),), ",provider: y|"),
    ("item in the middle of brackets", COMMENTED, (Remove(("gateway", "serve", 1)),), "coder,  two|two"),
    ("item at the end of brackets", COMMENTED, (Append(("gateway", "serve"), "new"),), "two]|two, new]"),
    (
        "item with its lines",
        COMMENTED,
        (Remove(("routes", 0)),),
        "- match: {platform: telegram}   # one\n  agent: coder\n|",
    ),
    ("item after the last", COMMENTED, (Append(("routes",), {"agent": "x"}),), "agent: two}\n|agent: two}\n- agent: x\n"),
    (
        "last key of a mapping",
        "agents:  # c\n  a: {}\nb: 1\n",
        (Remove(("agents", "a")),),
        "agents:  # c\n  a: {}\n|agents: {}  # c\n",
    ),
    ("last item of a list", "keys:\n  - a\nb: 1\n", (Remove(("keys", 0)),), "keys:\n  - a\n|keys: []\n"),
    ("last item in brackets", "keys: [a] # c\n", (Remove(("keys", 0)),), "[a]|[]"),
    ("mapping that is nothing", "agents:\n# c\nb: 1\n", (NEW,), "agents:\n|agents:\n  new:\n    model: p/n\n"),
    ("mapping that is empty", "agents: {} # c\nb: 1\n", (NEW,), "agents: {} # c\n|agents: # c\n  new:\n    model: p/n\n"),
    ("mapping in brackets", "{agents: {a: {}}, b: 1}", (NEW,), "{a: {}}|{a: {}, new: {model: p/n}}"),
    ("mapping that is missing", "b: 1\n# c\n", (NEW,), "# c\n|# c\nagents:\n  new:\n    model: p/n\n"),
    ("text without a last line end", "b: 1", (NEW,), "1|1\nagents:\n  new:\n    model: p/n\n"),
    ("mapping with an anchor", "agents: &x\n  a: &y {m: 1}\n  b: *y\nc: *y\n", (Remove(("agents", "b")),), "  b: *y\n|"),
    (
        "key after a text of many lines",
        "a:\n  p: |\n    one\n\n    two\n\nb: 1\n",
        (Set(("a", "q"), 1),),
        "two\n|two\n  q: 1\n",
    ),
    ("value that needs quotes", "a: {}\n", (Set(("b",), "x: #y"),), "{}\n|{}\nb: 'x: #y'\n"),
]


@pytest.mark.parametrize(("what", "text", "edits", "change"), CASES, ids=[case[0] for case in CASES])
def test_edit_changes_one_place_alone(what, text, edits, change):
    """The new text is the old one with one piece of it replaced, byte for byte."""
    del what
    old, _, new = change.partition("|") if change.count("|") == 1 else change.rpartition("|")
    assert text.count(old) == 1
    assert edited(text, edits, "FILE") == text.replace(old, new)


def test_text_of_comments_alone_gets_its_first_key():
    """Nothing is lost of a file in which everything is commented out."""
    assert edited("# a\n#b: 1\n", [NEW], "FILE") == "# a\n#b: 1\nagents:\n  new:\n    model: p/n\n"
    assert edited("", [NEW], "FILE") == "agents:\n  new:\n    model: p/n\n"


def test_line_ends_are_those_of_the_file():
    """What is added to a file of Windows has its line ends."""
    assert edited("a: 1\r\nagents:\r\n  b: {}\r\n", [NEW], "F") == "a: 1\r\nagents:\r\n  b: {}\r\n  new:\r\n    model: p/n\r\n"


@pytest.mark.parametrize(
    ("text", "edit", "told"),
    [
        ("agents:\n  a: &x {m: 1}\n  b: *x\n", Remove(("agents", "a")), "Remove agents.a by hand"),
        ("agents: &x\n  a: {m: 1}\n  b: {}\nc: *x\n", Remove(("agents", "b")), "Remove agents.b by hand"),
        ("base: &b {m: 1}\nagents:\n  <<: *b\n  c: {}\n", Remove(("agents", "m")), "Remove agents.m by hand"),
        ("agents:\n  ? c\n  : {}\n", Remove(("agents", "c")), "Remove agents.c by hand"),
        ("a: 1\n...\n", Set(("b",), [1]), "Add b by hand: [1]"),
        ("a: [1]\na: [1]\n", Append(("a",), "y"), "FILE:2: a: is here twice"),
        ("a: &x [1]\nb: *x\n", Append(("b",), "y"), "Add to b by hand: y"),
    ],
)
def test_unusual_text_is_refused_with_what_to_do(text, edit, told):
    """Where the result would not mean exactly what was asked, nothing is returned but a sentence."""
    with pytest.raises(UsageError) as caught:
        edited(text, [edit], "FILE")
    assert str(caught.value).removeprefix("FILE is written in a way that can't be edited safely here. ").startswith(told)


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
VALUES = st.recursive(
    st.one_of(st.text("ab:#'\"- é", max_size=6), st.integers(), st.booleans(), st.none()),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=3)),
    max_leaves=8,
)


@given(
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
    VALUES,
    st.sampled_from([None, True, False]),
    st.sampled_from([2, 4, 7]),
)
def test_what_was_added_can_be_removed_without_a_trace(around, agents, value, flow, indent):
    """In any layout that the dumper knows, adding a key and removing it gives back the text, byte for byte."""
    data = {**around, "agents": agents, "z": 1}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=flow, indent=indent)
    path = ("agents", "the new one")
    added = edited(text, [Set(path, value)], "FILE")
    assert yaml.safe_load(added) == {**data, "agents": {**agents, "the new one": value}}
    assert edited(added, [Remove(path)], "FILE") == text
