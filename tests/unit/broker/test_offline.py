"""The built-in offline model."""

from __future__ import annotations

import json

import pytest

from hermes_iso.broker.models import ModelBroker
from hermes_iso.broker.offline import answer_offline
from tests.support.model_calls import Listener, make_call


async def test_offline_says_who_answers_and_repeats_the_text():
    """Agent, engine, isolation and the text are all in the answer, and the same text was streamed in a few pieces."""
    listener = Listener()
    async with ModelBroker() as broker:
        answer = await broker.complete(make_call("good morning"), listener)
    text = answer.message["content"]
    assert all(part in text for part in ("coder", "native", "namespace", "offline", "no network", "good morning"))
    assert listener.text == text
    assert 2 <= len(listener.pieces) <= 8
    assert answer.finish_reason == "stop"


@pytest.mark.parametrize(
    ("said", "name", "arguments"),
    [
        ("RUN ls -l | wc", "terminal", {"command": "ls -l | wc"}),
        ("RUN echo a\necho b", "terminal", {"command": "echo a\necho b"}),
        ("RUNBG sleep 9", "terminal", {"command": "sleep 9", "background": True}),
        ('TOOL read_file {"path": "ü.txt"}', "read_file", {"path": "ü.txt"}),
        ("TOOL read_file", "read_file", {}),
    ],
)
async def test_offline_makes_the_call_that_its_word_asks_for(said, name, arguments):
    """RUN, RUNBG and TOOL become one tool call each, in OpenAI's shape."""
    answer = await answer_offline(make_call(said, tools=("terminal", "read_file")), Listener())
    (call,) = answer.message["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == (name, arguments)
    assert call["type"] == "function"
    assert call["id"]
    assert answer.message["content"] is None
    assert answer.finish_reason == "tool_calls"


@pytest.mark.parametrize("said", ["RUN ls", "TOOL terminal {}"])
async def test_offline_names_the_offer_when_a_tool_is_not_offered(said):
    """The offer is the grant: a tool outside of it is not called but named."""
    answer = await answer_offline(make_call(said, tools=("read_file",)), Listener())
    assert "tool_calls" not in answer.message
    assert "terminal" in answer.message["content"]
    assert "offered: read_file" in answer.message["content"]


@pytest.mark.parametrize("said", ["TOOL read_file {bad", "TOOL read_file [1]", "TOOL"])
async def test_offline_explains_itself_when_a_call_is_malformed(said):
    """Arguments that are no JSON object are answered with how to spell them."""
    answer = await answer_offline(make_call(said, tools=("read_file",)), Listener())
    assert answer.message["content"].startswith("TOOL needs a name and a JSON object")


async def test_offline_answers_with_the_results_after_tool_calls():
    """All results since the model last spoke are repeated, in order, after RESULT."""
    messages = [
        {"role": "user", "content": "RUN ls"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
    ]
    answer = await answer_offline(make_call("", messages=messages, tools=("terminal",)), Listener())
    assert answer.message["content"] == "RESULT: one\ntwo"


async def test_offline_counts_words_as_tokens():
    """Usage is the words of the conversation and of the answer."""
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "one two three"}]
    answer = await answer_offline(make_call("", messages=messages), Listener())
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.completion_tokens == len(answer.message["content"].split())
    assert answer.usage.calls == 1
