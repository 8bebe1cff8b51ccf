"""Cutting a stream into events, within bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.broker.events import EventReader, read_object
from hermes_iso.broker.faults import AnswerFaultError

STREAM = b': hello\n\nevent: x\ndata: {"a":1}\n\ndata:{"b":\r\ndata: 2}\r\n\r\nid: 7\nretry: 5\n\ndata: [DONE]\n\n'
EVENTS = [b'{"a":1}', b'{"b":\n2}', b"[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_events_do_not_depend_on_how_the_bytes_arrive(cuts):
    """Any way to cut the stream gives the same events."""
    reader = EventReader(1000)
    edges = [0, *sorted(cuts), len(STREAM)]
    events = [event for start, end in pairwise(edges) for event in reader.feed(STREAM[start:end])]
    assert events + reader.finish() == EVENTS


def test_last_event_counts_without_its_blank_line():
    """Some servers end the connection right after the last line."""
    reader = EventReader(1000)
    assert reader.feed(b"data: [DONE]") == []
    assert reader.finish() == [b"[DONE]"]


def feed_slowly(reader, data):
    """Feed 50 bytes at a time."""
    for start in range(0, len(data), 50):
        reader.feed(data[start : start + 50])


@pytest.mark.parametrize("data", [b"x" * 200, b"data: " + b"x" * 200 + b"\n", b"data: 12345\n" * 40])
def test_event_over_the_limit_is_refused(data):
    """A line without an end, a long line and an event of many lines all stop at the limit."""
    with pytest.raises(AnswerFaultError, match="longer than 100 bytes"):
        feed_slowly(EventReader(100), data)


@pytest.mark.parametrize("data", [b"{", b"[]", b"1", b"\xff", b"", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"])
def test_anything_but_an_object_is_refused(data):
    """Broken, deep, huge-numbered or other JSON is one kind of fault."""
    with pytest.raises(AnswerFaultError) as caught:
        read_object(data)
    assert caught.value.kind == "bad_response"
