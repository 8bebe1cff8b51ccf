"""Values of functions: data crosses and comes back the same, everything else is an error on the side where it is."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso_sandbox.guest.values import NotDataError, to_text
from hermes_iso_sandbox.values import VALUE_BYTES, from_text
from hermes_iso_sandbox.wire import WireError

KEYS = st.one_of(st.text(), st.integers(-(1 << 63), (1 << 64) - 1), st.binary(), st.booleans())
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(1 << 63), (1 << 64) - 1), st.floats(allow_nan=False), st.text(), st.binary()
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(KEYS, inner)),
    max_leaves=30,
)


@dataclass
class Point:
    """Something with fields."""

    x: int
    y: float


@given(VALUES)
def test_data_comes_back_the_same(value: Any):
    """Whatever is data arrives as it was, keys that look like marks and bytes among them."""
    assert from_text(to_text(value)) == value


def test_shapes_that_json_lacks_come_back_as_the_nearest():
    """Tuples are lists, dataclasses mappings, tuples as keys stay tuples, and NaN is NaN."""
    assert from_text(to_text((1, (2,)))) == [1, [2]]
    assert from_text(to_text(Point(1, math.inf))) == {"x": 1, "y": math.inf}
    assert from_text(to_text({(1, 2): "a"})) == {(1, 2): "a"}
    assert math.isnan(from_text(to_text(math.nan)))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (object(), "the value is a object"),
        ([1, {"a": {2}}], r"the value\[1\]\['a'\] is a set"),
        (1 << 70, "more than 64 bits"),
        ({object(): 1}, "a key of the value is a object"),
    ],
)
def test_what_is_no_data_is_named_with_its_place(value: Any, said: str):
    """The error says what can't come back and where in the value it is."""
    with pytest.raises(NotDataError, match=said):
        to_text(value)


def test_value_that_holds_itself_is_refused():
    """Endless nesting ends with a sentence."""
    value: list[Any] = []
    value.append(value)
    with pytest.raises(NotDataError, match="holds itself"):
        to_text(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nan",
        '{"a":1,"a":2}',
        '{"$bytes":"*"}',
        '{"$bytes":1}',
        '{"$pickle":"gASVAAAAAAAAAAA="}',
        '{"$items":[[1]]}',
        '{"$items":[[1,2],[1,3]]}',
        '{"$items":[[{},2]]}',
        '{"$float":"1"}',
        "[" * 65 + "]" * 65,
        "1" * 30,
    ],
)
def test_text_of_a_hostile_guest_is_refused(text: str):
    """What no guest of ours writes is an error and never a value."""
    with pytest.raises(WireError):
        from_text(text)


def test_endless_text_is_refused_before_it_is_read():
    """A value over the limit costs no reading."""
    with pytest.raises(WireError, match="over the limit"):
        from_text(" " * (VALUE_BYTES + 1))


def test_a_mapping_whose_keys_have_the_same_hash_is_refused():
    """-1 and -2 have the same hash, and so has every tuple of them: each would be compared with all before it."""
    keys = list(itertools.product((-1, -2), repeat=12))
    few, many = (json.dumps({"$items": [[key, 0] for key in part]}) for part in (keys[:64], keys))
    assert len(from_text(few)) == 64
    with pytest.raises(WireError, match="the same hash"):
        from_text(many)
