"""Watch: no value passes whole, in no spelling and in no pieces, and everything else passes as it came."""

import base64
import itertools
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.broker.watching import Watch, spellings

SECRET = "sk-Test/0123+456=789~x"
PATTERNS = spellings([SECRET])


def cut(data, places):
    """Cut bytes into pieces at these places."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def passed(pieces, patterns=PATTERNS):
    """Return what of a message got through, and whether all of it did."""
    watch, through = Watch(patterns), b""
    for piece in pieces:
        part = watch.take(piece)
        if part is None:
            return through, False
        through += part
    return through + watch.rest(), True


SPELLED = [
    SECRET.encode(),
    quote(SECRET, safe="").encode(),
    json.dumps(SECRET).encode(),
    SECRET.replace("/", "\\/").encode(),
    SECRET.encode().hex().encode(),
    SECRET.encode().hex().upper().encode(),
    *(base64.b64encode(b"x" * lead + SECRET.encode() + tail) for lead in range(4) for tail in (b"", b"y", b"yz")),
    base64.urlsafe_b64encode(b"user:" + SECRET.encode()),
]


@given(
    spelled=st.sampled_from(SPELLED),
    before=st.binary(max_size=40),
    after=st.binary(max_size=40),
    places=st.lists(st.integers(0, 300), max_size=60),
)
def test_a_value_never_passes_whole(spelled, before, after, places):
    """Wherever the message is cut into pieces, and whatever stands around it: what got through holds no spelling."""
    through, whole = passed(cut(before + spelled + after, places))
    assert not whole
    assert not any(pattern in through for pattern in PATTERNS)


@given(
    st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([SECRET[:-1].encode(), SECRET[1:].encode(), b"s"])), max_size=30)
)
def test_all_else_passes_unchanged(pieces):
    """What holds no value comes through byte for byte, also what looks like the beginning of one."""
    data = b"".join(pieces)
    if not any(pattern in data for pattern in PATTERNS):
        assert passed(pieces) == (data, True)


def test_a_value_byte_by_byte_does_not_even_begin_to_pass():
    """Bytes that may be the beginning of a value are held back until it is clear that they are not."""
    watch = Watch((SECRET.encode(),))
    assert [watch.take(SECRET[index : index + 1].encode()) for index in range(len(SECRET) - 1)] == [b""] * (len(SECRET) - 1)
    assert watch.take(SECRET[-1:].encode()) is None


@pytest.mark.parametrize("piece", [b"data: {}\n\n", b"data: [DONE]\n\n", b": ping\n\n"])
def test_an_event_is_held_back_in_no_part(piece):
    """An event ends in line breaks, which no value holds: it goes on as one piece."""
    assert Watch(PATTERNS).take(piece) == piece


def test_short_values_are_not_looked_for():
    """Their removal would garble texts that hold them by chance."""
    assert spellings(["x", "1234567"]) == ()
