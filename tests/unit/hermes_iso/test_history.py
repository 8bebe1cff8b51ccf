"""History is rebuilt from what is known and cut where no tool call loses its result."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.history import CALLS, HISTORY_BYTES, HISTORY_COUNT, NO_RESULT, MalformedHistoryError, check_history, latest

CALL = {"id": "1", "type": "function", "function": {"name": "terminal", "arguments": "{}"}}
TOOL = {"role": "tool", "tool_call_id": "1", "content": "out"}
ALL = ("user", "assistant", "tool")


def test_check_keeps_only_what_is_known() -> None:
    """Unknown keys, and lone surrogates, don't pass."""
    given_messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "\ud800"}], "name": "x"},
        {"role": "assistant", "content": "", "tool_calls": [{**CALL, "evil": 1}], "reasoning": "x"},
        {**TOOL, "name": "terminal"},
        {"role": "assistant", "content": "done"},
    ]
    assert check_history(given_messages, ALL) == [
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        TOOL,
        {"role": "assistant", "content": "done"},
    ]


def test_check_fills_the_hole_of_a_call_without_result() -> None:
    """A stopped turn leaves a history that models still take."""
    stopped = [{"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "2"}]}, TOOL]
    assert check_history(stopped, ALL)[2:] == [{"role": "tool", "tool_call_id": "2", "content": NO_RESULT}]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("text", "[0]"),
        ({"role": "system", "content": "x"}, "[0].role"),
        ({"role": ["user"], "content": "x"}, "[0].role"),
        ({"role": "user", "content": 1}, "[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "[0].content[0]"),
        ({"role": "assistant", "tool_calls": "x"}, "[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{}]}, "[0].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [CALL, CALL]}, "[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": ""}]}, "[0].tool_calls[0].id"),
        ({"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "x"}}]}, "[0].tool_calls[0].function.arguments"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": str(number)} for number in range(CALLS + 1)]}, "[0].tool_calls"),
        (TOOL, "[0].tool_call_id"),
    ],
)
def test_check_says_where_a_history_is_malformed(message: Any, place: str) -> None:
    """Every fault names its place."""
    with pytest.raises(MalformedHistoryError) as caught:
        check_history([message], ALL)
    assert caught.value.place == place


def test_results_may_come_in_any_order_but_once() -> None:
    """Every call has one result, whichever comes first."""
    calls = [{**CALL, "id": str(number)} for number in range(CALLS)]
    results = [{**TOOL, "tool_call_id": str(number)} for number in reversed(range(CALLS))]
    whole = [{"role": "assistant", "content": None, "tool_calls": calls}, *results]
    assert check_history(whole, ALL) == whole
    with pytest.raises(MalformedHistoryError) as caught:
        check_history([*whole, results[0]], ALL)
    assert caught.value.place == f"[{CALLS + 1}].tool_call_id"


def test_latest_cuts_by_count_and_size() -> None:
    """The newest messages stay, beginning with a user's."""
    long = [{"role": "user", "content": str(number)} for number in range(HISTORY_COUNT + 5)]
    assert latest(long) == long[5:]
    large = [{"role": "user", "content": "x" * (HISTORY_BYTES // 2)} for _ in range(3)]
    assert latest(large) == large[2:]


@given(st.lists(st.sampled_from(["u", "a", "t"]), max_size=30), st.integers(1, 40))
def test_latest_never_begins_with_a_part_of_a_turn(kinds: list[str], scale: int) -> None:
    """When anything was cut off, the first message is the user's."""
    made = {
        "u": {"role": "user", "content": "x" * (HISTORY_BYTES // scale)},
        "a": {"role": "assistant", "content": None, "tool_calls": [CALL]},
        "t": TOOL,
    }
    messages: list[dict[str, Any]] = [made[kind] for kind in kinds]
    kept = latest(messages)
    assert kept == messages[len(messages) - len(kept) :]
    assert len(kept) == len(messages) or not kept or kept[0]["role"] == "user"
