"""Lanes: order within a lane, and nothing else waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.inbox.lanes import Lanes


def test_at_once_goes_before_what_waits():
    """What goes at once neither waits for its lane nor holds it up."""
    lanes = Lanes()
    lanes.add(1, "a")
    lanes.add(2, "a")
    lanes.add(3, "a", at_once=True)
    assert [lanes.next(), lanes.next(), lanes.next()] == [1, 3, None]
    lanes.end(3)
    assert lanes.next() is None
    lanes.end(1)
    assert lanes.next() == 2


def test_removed_message_lets_the_next_one_go():
    """What is taken away while it waits leaves no gap in its lane."""
    lanes = Lanes()
    for number in (1, 2, 3):
        lanes.add(number, "a")
    assert lanes.remove(2)
    assert lanes.remove(1)
    assert not lanes.remove(1)
    assert lanes.next() == 3
    assert not lanes.remove(3)
    lanes.end(3)
    assert len(lanes) == lanes.waiting == 0


@given(st.lists(st.sampled_from("abc"), max_size=40), st.data())
def test_each_lane_is_taken_in_order_one_at_a_time(names, data):
    """However messages come and end, each goes once, after all before it in its lane have ended."""
    lanes, out, ended, waiting = Lanes(), [], [], list(enumerate(names))
    lane_of = dict(waiting)
    while waiting or len(lanes):
        if waiting and data.draw(st.booleans()):
            lanes.add(*waiting.pop(0))
        elif (number := lanes.next()) is not None:
            before = [each for each in range(number) if lane_of[each] == lane_of[number]]
            assert set(before) <= set(ended)
            out.append(number)
        elif out:
            ended.append(out.pop(data.draw(st.integers(0, len(out) - 1))))
            lanes.end(ended[-1])
    assert sorted(ended) == list(range(len(names)))
    assert lanes.waiting_in("a") == 0
