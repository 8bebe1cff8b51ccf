"""A body costs the event loop little, whatever it holds, and is read as any JSON parser would."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes_iso.api.body import BODY_LIMIT, DEPTH_LIMIT, VALUE_LIMIT, parse_object
from hermes_iso.api.chat import LARGE_BODY
from hermes_iso.api.errors import ApiError
from tests.support.http import serving


def refusal(content: bytes) -> str:
    """Return why a body is refused."""
    with pytest.raises(ApiError) as caught:
        parse_object(content)
    assert caught.value.status == 400
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_001 + b'\\"' * 400_000,
        b'{"a":[' + b"[" * 200_001 + b'"' + b'\\"' * 4_000_000,
        b'{"a":[' + b"[" * 200_001 + b'"' + b"\\" * 9_000_000,
        b'""' * (BODY_LIMIT // 2 - 200) + b"[" * 200,
        b"]" * BODY_LIMIT,
        b"[" * BODY_LIMIT,
        b'{"a":[' + b"1," * (BODY_LIMIT // 2 - 10) + b"1]}",
        b'{"a":[' + b",".join([b"9" * 4000] * 2400) + b"]}",
    ],
    ids=["escapes", "open-string", "backslashes", "strings", "closing", "opening", "commas", "digits"],
)
def test_hostile_body_is_refused_quickly(content: bytes) -> None:
    """Each of these took from a second to hours, or may on a slower machine; it is refused in a fraction of a second."""
    began = time.process_time()
    refusal(content)
    assert time.process_time() - began < 1


def test_bounds_count_what_lies_outside_of_strings() -> None:
    """Brackets, commas and escaped quotes in a text are text."""
    text = '[{,"\\' * (VALUE_LIMIT // 2)
    assert parse_object(json.dumps({"a": text, "b": ["\\", "]", text]}).encode()) == {"a": text, "b": ["\\", "]", text]}


def test_depth_and_values_up_to_the_limit_pass() -> None:
    """The limits themselves are allowed, one more is not."""
    deep = b'{"a":' + b"[" * (DEPTH_LIMIT - 1) + b"]" * (DEPTH_LIMIT - 1) + b"}"
    assert "a" in parse_object(deep)
    assert "nested" in refusal(deep.replace(b"[]", b"[[]]"))
    many = b'{"a":[' + b"1," * (VALUE_LIMIT - 2) + b"1]}"
    assert len(parse_object(many)["a"]) == VALUE_LIMIT - 1
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
    assert parse_object(json.dumps(padded).encode()) == padded


async def test_large_body_is_parsed_beside_the_event_loop(tmp_path: Path) -> None:
    """A body of thousands of messages' worth is answered, and others get their turn while it is checked."""
    calls = [
        {"id": str(number), "type": "function", "function": {"name": "terminal", "arguments": "x" * 200}}
        for number in range(100)
    ]
    before = [{"role": "assistant", "content": None, "tool_calls": calls}] * 100
    body = {"messages": [*before, {"role": "user", "content": "x"}]}
    assert len(json.dumps(body)) > 4 * LARGE_BODY
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await trio.sleep(0.001)
            longest = max(longest, time.perf_counter() - began)

    async with serving(tmp_path / "home") as served:
        content = json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        for _ in range(5):  # others use the machine's cores as well: what counts is that it can be done
            longest = 0.0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                response = await served.client.post("/v1/chat/completions", content=content, headers=headers)
                nursery.cancel_scope.cancel()
            assert response.status_code == 200
            if longest < 0.3:
                break
    assert longest < 0.3
