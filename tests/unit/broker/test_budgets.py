"""What a turn may spend, and what its guest may say."""

from __future__ import annotations

import json

import pytest
import trio

from hermes_iso.broker.budgets import MESSAGES_BYTES, Budget, BudgetLimits, check_messages, messages_size
from hermes_iso.broker.models import ModelAnswer, ModelBroker
from hermes_iso.errors import ModelError
from hermes_iso.messages import Usage
from tests.support.model_calls import Listener, make_call

ONE = Usage(1, 1, calls=1)


def answering(text="ok", usage=ONE):
    """Return a `complete` that says `text`."""

    async def complete(call, on_text):
        await on_text(text)
        return ModelAnswer({"role": "assistant", "content": text}, finish_reason="stop", usage=usage)

    return complete


async def spent(budget, complete=None):
    """Make a call that must be over budget, and return the error's text."""
    with pytest.raises(ModelError) as caught:
        await budget.complete(make_call("hi"), Listener(), complete or answering())
    assert caught.value.kind == "budget"
    return str(caught.value)


async def test_calls_are_bounded_by_iterations_and_some_more():
    """A turn makes max_iterations + 4 calls, and not one more."""
    budget = Budget(max_iterations=3)
    for _ in range(7):
        await budget.complete(make_call("hi"), Listener(), answering())
    assert "7 model calls" in await spent(budget)
    assert budget.usage == Usage(7, 7, calls=7)


async def test_failed_calls_are_charged():
    """A guest can't knock at a failing provider without end."""

    async def fail(call, on_text):
        raise ModelError("unreachable", "down")

    budget = Budget(max_iterations=-3)
    with pytest.raises(ModelError, match="down"):
        await budget.complete(make_call("hi"), Listener(), fail)
    await spent(budget)
    assert budget.usage.calls == 0


async def test_two_calls_run_at_a_time():
    """A third call waits for a place instead of failing."""
    running, most, gate = 0, 0, trio.Event()

    async def complete(call, on_text):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        return await answering()(call, on_text)

    budget = Budget(max_iterations=9)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(budget.complete, make_call("hi"), Listener(), complete)
        await trio.testing.wait_all_tasks_blocked()
        assert running == 2
        gate.set()
    assert most == 2
    assert budget.usage.calls == 4


async def test_waiting_for_a_place_ends_at_the_deadline(autojump_clock):
    """A call whose turn is over while it waits is a timeout."""

    async def never(call, on_text):
        await trio.sleep_forever()

    budget = Budget(max_iterations=9, limits=BudgetLimits(calls_at_once=1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.complete, make_call("hi", seconds=100), Listener(), answering())
        nursery.start_soon(_expect_timeout, budget, never)
        nursery.start_soon(_expect_timeout, budget, never)


async def _expect_timeout(budget, complete):
    with pytest.raises(ModelError) as caught:
        await budget.complete(make_call("hi", seconds=5), Listener(), complete)
    assert caught.value.kind == "timeout"


async def test_bytes_to_the_model_are_bounded():
    """Long conversations use a turn up."""
    budget = Budget(max_iterations=9, limits=BudgetLimits(request_bytes=100))
    await budget.complete(make_call("hi"), Listener(), answering())
    assert "100 bytes to its model" in await spent(budget)


async def test_bytes_from_the_model_are_bounded_while_they_stream():
    """An answer over the bound stops in the middle, and no further call begins."""
    listener = Listener()
    budget = Budget(max_iterations=9, limits=BudgetLimits(answer_bytes=10))
    with pytest.raises(ModelError, match="10 bytes from its model"):
        await budget.complete(make_call("hi"), listener, answering("x" * 11))
    assert listener.pieces == []
    await spent(budget)


@pytest.mark.parametrize("usage", [Usage(90, 20, calls=1), Usage(calls=1)])
async def test_tokens_are_bounded_also_when_nobody_counts(usage):
    """Tokens come from the provider, or from the bytes where it does not say."""
    budget = Budget(max_iterations=9, limits=BudgetLimits(tokens=100))
    await budget.complete(make_call("x" * 1000), Listener(), answering(usage=usage))
    assert "100 tokens" in await spent(budget)


@pytest.mark.parametrize("change", [{"calls_at_once": 3}, {"tokens": 0}, {"answer_bytes": 1 << 40}])
def test_limits_only_go_down(change):
    """A bound can be tightened and never loosened."""
    with pytest.raises(ValueError, match=next(iter(change))):
        BudgetLimits(**change)


async def test_budget_passes_answers_of_the_real_broker_through():
    """Budget.complete and ModelBroker.complete fit together."""
    listener = Listener()
    async with ModelBroker() as broker:
        budget = Budget(max_iterations=1)
        answer = await budget.complete(make_call("hi"), listener, broker.complete)
    assert listener.text == answer.message["content"]
    assert budget.usage == answer.usage


CALL = {"id": "a", "type": "function", "function": {"name": "terminal", "arguments": "{}"}}


def test_messages_are_rebuilt_from_known_keys():
    """Only what belongs in a message is passed on; text parts become one text."""
    assert check_messages(
        [
            {"role": "system", "content": "s", "name": "x"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "x": 1}], "model": "gpt"},
            {"role": "assistant", "tool_calls": [{**CALL, "extra": {"deep": 1}}], "reasoning": "hm"},
            {"role": "tool", "tool_call_id": "a", "content": "r", "name": "terminal"},
            {"role": "assistant", "content": None, "tool_calls": None},
        ]
    ) == [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "assistant", "content": ""},
    ]


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (None, "messages"),
        ([], "messages"),
        ({}, "messages"),
        ([{"role": "user", "content": "x"}] * 10_001, "messages"),
        ([7], "messages[0]"),
        ([{"role": "developer", "content": "x"}], "messages[0].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": {"a": 1}}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0].text"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "tool", "tool_call_id": "", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "assistant", "content": "x", "tool_calls": {}}], "messages[0].tool_calls"),
        ([{"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}], "messages[0].tool_calls[0]"),
        ([{"role": "assistant", "tool_calls": [{**CALL, "id": "x" * 300}]}], "messages[0].tool_calls[0].id"),
        (
            [{"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "a"}}]}],
            "messages[0].tool_calls[0].function.arguments",
        ),
    ],
)
def test_malformed_messages_are_refused_by_place(value, place):
    """Whatever a guest sends instead of messages is one clear sentence, without a traceback."""
    with pytest.raises(ModelError) as caught:
        check_messages(value)
    assert caught.value.kind == "refused"
    assert f": {place} must " in str(caught.value)


def test_messages_over_the_limit_are_refused():
    """The text of a call is bounded as a whole."""
    half = "x" * (MESSAGES_BYTES // 2)
    check_messages([{"role": "user", "content": half}])
    with pytest.raises(ModelError) as caught:
        check_messages([{"role": "user", "content": half}, {"role": "user", "content": half}])
    assert caught.value.kind == "refused"


def test_lone_surrogates_are_replaced():
    """Half a character, which JSON can spell and UTF-8 can't, does not reach the provider."""
    (message,) = check_messages([{"role": "user", "content": json.loads('"a\\ud83db"')}])
    message["content"].encode()
    assert messages_size([message]) > 0
