"""Tests of hermes_iso.config.yaml_text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.config.problems import ProblemList
from hermes_iso.config.yaml_text import parse_document, read_document


def parse(text):
    problems = ProblemList()
    return parse_document(text, "f.yaml", problems=problems), [str(problem) for problem in problems.problems]


def test_scalars_have_the_types_of_hermes_and_keep_their_text():
    """Values are typed as Hermes' loader types them; ids are there as they stand in the file."""
    document, problems = parse('a: 0123\nb: -100123\nc: "7"\nd: yes\ne: ~\nf: 1.5\ng: 2024-01-02\n')
    assert problems == []
    assert document.data == {"a": 83, "b": -100123, "c": "7", "d": True, "e": None, "f": 1.5, "g": "2024-01-02"}
    assert [document.texts[(key,)] for key in "abc"] == ["0123", "-100123", "7"]


def test_every_key_has_its_line():
    """Lines count from 1; a key that is missing has its parent's line."""
    document, _ = parse("a:\n  b:\n    - x\n    - c: 1\n")
    assert [document.line(path) for path in (("a",), ("a", "b"), ("a", "b", 1, "c"), ("a", "b", 1, "nope"))] == [1, 2, 4, 4]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "f.yaml:2: a: is here twice, first in line 1; keep one"),
        ("x:\n  a: 1\n  a: 1\n", "f.yaml:3: x.a: is here twice, first in line 2; keep one"),
        ("a: !!python/object:os.system x\n", "f.yaml:1: a: has the tag '!!python/object:os.system'"),
        ("a: !mine x\n", "f.yaml:1: a: has the tag '!mine'"),
        ("a: !!binary aGk=\n", "f.yaml:1: a: has the tag '!!binary'"),
        ("a: !!int x\n", "f.yaml:1: a: is not what its tag says"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: file: holds several YAML documents"),
        ("a: [1,\nb: 2\n", "f.yaml:3: file: is not valid YAML"),
        ("a:\n\t- 1\n", "f.yaml:2: file: is not valid YAML"),
        ("- a\n", "f.yaml:1: (top level): must be a mapping of keys to values, found a list"),
        ("just text\n", "f.yaml:1: (top level): must be a mapping of keys to values, found text"),
        ("? [a]\n: 1\n", "f.yaml:1: (top level): has a key that is not text"),
        ("a: *nope\n", "f.yaml:1: file: is not valid YAML"),
        ("a: &a [*a]\n", "f.yaml:1: file: nests deeper than 64 levels"),
        ("a: &a {<<: *a}\n", "f.yaml:1: file: merges (<<) itself"),
        ("a: {<<: 5}\n", "f.yaml:1: a: merges (<<) something that is not a mapping"),
        ("a: \0\n", "f.yaml:1: file: is not valid YAML"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text, problem):
    """Each mistake is reported with file, line and key."""
    _, problems = parse(text)
    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_an_alias_bomb_is_refused():
    """Aliases count in full, so a small file can't stand for a huge one."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    text = "\n".join(lines)
    document, problems = parse(text)
    assert document.data == {}
    assert f"holds more than {50_000 + len(text) // 2} values, aliases counted in full" in problems[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " + "[" * 70 + "]" * 70])
def test_deep_nesting_is_refused(text):
    """Nesting never exhausts the reader's stack."""
    document, problems = parse(text)
    assert (document.data, len(problems)) == ({}, 1)


def test_merge_keys_bring_what_the_mapping_lacks():
    """`<<` works as in Hermes' loader: own keys win, earlier sources win."""
    document, problems = parse("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n")
    assert problems == []
    assert document.data["y"] == {"a": 1, "b": 3}


def test_keys_that_are_not_text_are_kept_as_their_text():
    """Whether that is a mistake depends on whose section it is."""
    document, problems = parse("discord: {123: x}\n")
    assert (document.data, problems) == ({"discord": {"123": "x"}}, [])
    assert document.odd_keys == {("discord", "123")}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: \xff\n", "1: file: is not UTF-8 here"),
        (b"a: 1\nb: \xff\n", "2: file: is not UTF-8 here"),
        (b"#" * (16 << 20) + b"\n", "1: file: is longer than 16384 KiB"),
    ],
)
def test_a_file_that_is_no_text_is_one_problem(tmp_path, content, problem):
    """Bad bytes and sizes are reported, never raised."""
    (tmp_path / "f.yaml").write_bytes(content)
    problems = ProblemList()
    assert read_document(tmp_path / "f.yaml", problems).data == {}
    assert [str(each).split("f.yaml:")[1][: len(problem)] for each in problems.problems] == [problem]


def test_a_directory_in_a_files_place_is_one_problem(tmp_path):
    """What can't be read is said in one line."""
    problems = ProblemList()
    read_document(tmp_path, problems)
    assert "is a directory; put a regular file there" in str(problems.problems[0])


def test_a_missing_or_empty_file_is_an_empty_document(tmp_path):
    """No file, no text, comments alone: nothing is said, nothing is wrong."""
    problems = ProblemList()
    (tmp_path / "e.yaml").write_text("# nothing\n")
    assert [read_document(tmp_path / name, problems).data for name in ("none.yaml", "e.yaml")] == [{}, {}]
    assert problems.problems == []


@given(st.text(max_size=120) | st.text("a:-[]{}&*<!\n \"'|>?0", max_size=60))
def test_no_text_makes_the_reader_fail(text):
    """Whatever stands in the file: data or problems, never an exception."""
    document, problems = parse(text)
    assert document.data == {} or isinstance(document.data, dict)
    assert all(problem.startswith("f.yaml:") for problem in problems)
