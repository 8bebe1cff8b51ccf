"""A text costs the event loop little, whatever it holds, and is read as any JSON parser would, or not at all."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes_iso.strict_json import DEPTH_LIMIT, VALUE_LIMIT, JsonError, read_object

BYTES = 10_000_000


def refusal(content: bytes) -> str:
    """Return why a text is refused."""
    with pytest.raises(JsonError) as caught:
        read_object(content)
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_001 + b'\\"' * 400_000,
        b'{"a":[' + b"[" * 200_001 + b'"' + b'\\"' * 4_000_000,
        b'{"a":[' + b"[" * 200_001 + b'"' + b"\\" * 9_000_000,
        b'""' * (BYTES // 2 - 200) + b"[" * 200,
        b"]" * BYTES,
        b"[" * BYTES,
        b'{"a":[' + b"1," * (BYTES // 2 - 10) + b"1]}",
        b'{"a":[' + b",".join([b"9" * 4000] * 2400) + b"]}",
    ],
    ids=["escapes", "open-string", "backslashes", "strings", "closing", "opening", "commas", "digits"],
)
def test_hostile_text_is_refused_quickly(content: bytes) -> None:
    """Each of these took from a second to hours, or may on a slower machine; it is refused in a fraction of a second."""
    began = time.process_time()
    refusal(content)
    assert time.process_time() - began < 1


def test_bounds_count_what_lies_outside_of_strings() -> None:
    """Brackets, commas and escaped quotes in a text are text."""
    text = '[{,"\\' * (VALUE_LIMIT // 2)
    assert read_object(json.dumps({"a": text, "b": ["\\", "]", text]}).encode()) == {"a": text, "b": ["\\", "]", text]}


def test_depth_and_values_up_to_the_limit_pass() -> None:
    """The limits themselves are allowed, one more is not."""
    deep = b'{"a":' + b"[" * (DEPTH_LIMIT - 1) + b"]" * (DEPTH_LIMIT - 1) + b"}"
    assert "a" in read_object(deep)
    assert "nested" in refusal(deep.replace(b"[]", b"[[]]"))
    many = b'{"a":[' + b"1," * (VALUE_LIMIT - 2) + b"1]}"
    assert len(read_object(many)["a"]) == VALUE_LIMIT - 1
    assert "values" in refusal(many.replace(b"[1", b"[1,1,1,1"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text('a"\\[]{},:é', max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\[', max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
@settings(max_examples=50, deadline=None)
def test_any_json_object_is_read(value: dict[str, Any]) -> None:
    """What is within the bounds is read as it was written, also where the bounds are looked at closely."""
    padded = {"brackets": "[" * (DEPTH_LIMIT + 1), **value}
    assert read_object(json.dumps(padded).encode()) == padded


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not JSON: Expecting value at line 1 column 1"),
        (b'{\n "a": }', "is not JSON: Expecting value at line 2 column 7"),
        (b"[1]", "is not a JSON object"),
        (b'{"a": "\xff"}', "is not UTF-8 at byte 7"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "has a key that stands twice in one object"),
        (b'{"a": NaN}', "is not JSON: NaN is no number"),
        (b'{"a": -Infinity}', "is not JSON: -Infinity is no number"),
        (b'{"a": 18446744073709551616}', "has an integer of more than 64 bits"),
        (b'{"a": -1e999}', "has a number that is too large"),
        (b'{"a": 0.' + b"1" * 99 + b"}", "has a number of more than 64 characters"),
    ],
)
def test_what_two_readers_could_take_in_two_ways_is_refused(content: bytes, words: str) -> None:
    """And it is said what is wrong, and where a parser knows that."""
    assert refusal(content) == words


def test_integers_of_64_bits_pass() -> None:
    """The largest and the smallest."""
    value = {"a": (1 << 64) - 1, "b": -(1 << 63)}
    assert read_object(json.dumps(value).encode()) == value
