"""Anthropic's dialect: translation both ways."""

from __future__ import annotations

import pytest

from hermes_iso.broker.anthropic import AnthropicReader, anthropic_body, anthropic_url
from hermes_iso.broker.faults import AnswerFaultError
from tests.support.model_calls import make_call


def call_of(call_id, name="terminal", arguments="{}"):
    """Return a tool call in OpenAI's shape."""
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


async def test_body_translates_a_conversation_with_tools():
    """The system goes apart, calls and results become blocks, and roles alternate."""
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "system", "content": "be short"},
        {"role": "user", "content": "list"},
        {"role": "assistant", "content": "sure", "tool_calls": [call_of("a.1", arguments='{"x": 1}'), call_of("b")]},
        {"role": "tool", "tool_call_id": "a.1", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
        {"role": "user", "content": "thanks"},
    ]
    body = anthropic_body(make_call("", messages=messages, tools=("terminal",)))
    assert body["system"] == "be kind\n\nbe short"
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "sure"},
        {"type": "tool_use", "id": "a_1", "name": "terminal", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "terminal", "input": {}},
    ]
    assert [block["type"] for block in body["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert body["messages"][2]["content"][0]["tool_use_id"] == "a_1"
    assert body["tools"][0]["input_schema"]["type"] == "object"


async def test_body_begins_with_the_user_and_holds_no_empty_text():
    """The API refuses a conversation that begins with the assistant, and empty text blocks."""
    messages = [
        {"role": "assistant", "content": "earlier"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": " "},
        {"role": "user", "content": "b"},
    ]
    turns = anthropic_body(make_call("", messages=messages))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["text"] for block in turns[2]["content"]] == ["a", "b"]


async def test_body_keeps_arguments_that_are_not_json():
    """What an earlier answer spelled wrongly is sent as what it is, not dropped."""
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call_of("a", arguments="{")]},
    ]
    turns = anthropic_body(make_call("", messages=messages))["messages"]
    assert turns[1]["content"][0]["input"] == {"invalid_arguments": "{"}


def test_reader_sums_usage_with_the_cache_and_ignores_thinking():
    """Tokens read from a cache are prompt tokens, and thinking is no text."""
    reader = AnthropicReader()
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 1, "output_tokens": 1}
    texts = [
        reader.take(event)
        for event in (
            {"type": "message_start", "message": {"content": [], "usage": usage}},
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 9}},
        )
    ]
    assert "".join(texts) == "hi"
    assert reader.finished
    assert not reader.complete
    reader.take({"type": "message_stop"})
    assert reader.complete
    answer = reader.answer()
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.finish_reason) == (13, 9, "length")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("overloaded_error", "unreachable"),
        ("rate_limit_error", "rate_limited"),
        ("authentication_error", "auth"),
        ("odd", "bad_response"),
    ],
)
def test_error_event_has_its_kind(kind, expected):
    """An error event is the error that it says."""
    with pytest.raises(AnswerFaultError) as caught:
        AnthropicReader().take({"type": "error", "error": {"type": kind, "message": "boom"}})
    assert caught.value.kind == expected


def test_answer_of_another_dialect_is_refused():
    """A completion of OpenAI's is not taken for an empty message."""
    reader = AnthropicReader()
    reader.take({"choices": [{"message": {"content": "x"}}]})
    with pytest.raises(AnswerFaultError):
        reader.answer()


@pytest.mark.parametrize("base_url", ["http://h", "http://h/", "http://h/v1", "http://h/v1/"])
def test_url_is_the_same_with_and_without_version(base_url):
    """People write the address with /v1 and without."""
    assert anthropic_url(base_url) == "http://h/v1/messages"
