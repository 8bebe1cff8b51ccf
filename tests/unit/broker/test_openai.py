"""OpenAI's dialect with the accents of compatible servers."""

from __future__ import annotations

import json

import pytest

from hermes_iso.broker.faults import AnswerFaultError
from hermes_iso.broker.openai import OpenAIReader, ToolCalls, openai_body, openai_url
from tests.support.model_calls import make_call


def read(*deltas, **last):
    """Return the answer of a stream of deltas."""
    reader = OpenAIReader()
    for delta in deltas:
        reader.take({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    reader.take({"choices": [{"index": 0, "delta": {}, "finish_reason": last.pop("finish_reason", "stop")}], **last})
    return reader.answer()


def piece(name=None, arguments=None, **more):
    """Return a delta with one piece of one tool call; None leaves a field out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {"tool_calls": [{**more, "function": function}]}


def made(answer):
    """Return name and arguments of the calls in an answer."""
    return [(call["function"]["name"], call["function"]["arguments"]) for call in answer.message["tool_calls"]]


TWO = [("a", '{"x":1}'), ("b", '{"y":2}')]


@pytest.mark.parametrize(
    "deltas",
    [
        pytest.param(
            [
                piece("a", "", index=0, id="i"),
                piece(arguments='{"x":', index=0),
                piece(arguments="1}", index=0),
                piece("b", "", index=1, id="j"),
                piece(arguments='{"y":2}', index=1),
            ],
            id="as OpenAI does",
        ),
        pytest.param(
            [
                piece("a", '{"x":', index=0, id="i"),
                piece("b", '{"y":', index=1, id="j"),
                piece(arguments="1}", index=0),
                piece(arguments="2}", index=1),
            ],
            id="interleaved",
        ),
        pytest.param([piece("a", '{"x":1}', index=0, id="i"), piece("b", '{"y":2}', index=0, id="j")], id="all with index 0"),
        pytest.param(
            [piece("a", '{"x":', id="i"), piece(arguments="1}"), piece("b", '{"y":', id="j"), piece(arguments="2}")],
            id="without index",
        ),
        pytest.param(
            [piece("a", '{"x":', id="i"), piece("b", '{"y":', id="j"), piece("", "1}", id="i"), piece("", "2}", id="j")],
            id="told apart by id",
        ),
        pytest.param([piece("a", '{"x":1}'), piece("b", '{"y":2}')], id="without index and id"),
        pytest.param(
            [piece("a", '{"x":', index=0, id="i"), piece("a", "1}", index=0, id="i"), piece("b", '{"y":2}', index=1, id="j")],
            id="name and id repeated",
        ),
    ],
)
def test_tool_calls_are_put_together(deltas):
    """However a server cuts and labels its calls, two calls come out, each with an id of its own."""
    answer = read(*deltas, finish_reason="tool_calls")
    assert made(answer) == TWO
    assert len({call["id"] for call in answer.message["tool_calls"]}) == 2
    assert answer.message["content"] is None
    assert answer.finish_reason == "tool_calls"


def test_tool_call_arguments_may_be_an_object_or_missing():
    """Arguments as an object become JSON text, and none at all become an empty object."""
    assert made(read(piece("a", {"x": 1}, index=0), piece("b", index=1))) == [("a", '{"x": 1}'), ("b", "{}")]


def test_tool_calls_decide_the_finish_reason():
    """An answer that calls tools and says `stop` is one that calls tools."""
    assert read(piece("a", "{}", index=0)).finish_reason == "tool_calls"


def test_repeated_call_id_is_made_unique():
    """Two calls of one answer never share an id: their results could not be told apart."""
    calls = ToolCalls()
    for index in range(2):
        calls.add({"index": index, "id": "same", "function": {"name": "a", "arguments": "{}"}})
    assert len({call["id"] for call in calls.result()}) == 2


def test_nameless_call_is_refused():
    """A call without a name can't be made."""
    with pytest.raises(AnswerFaultError):
        read(piece(None, "{}", index=0, id="i"))


def test_number_of_calls_is_bounded():
    """A server can't fill memory with calls."""
    with pytest.raises(AnswerFaultError):
        read(*(piece("a", "{}", index=number) for number in range(200)))


def test_reasoning_is_ignored_and_refusal_is_text():
    """Reasoning fields and parts are no part of the answer; what a model says in refusal is."""
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "no"}]
    answer = read({"reasoning_content": "hm", "reasoning": "hm"}, {"content": parts}, {"refusal": " way"})
    assert answer.message == {"role": "assistant", "content": "no way"}


def test_null_fields_are_read_as_absent():
    """Null where a list, text or object belongs is what many servers send."""
    answer = read({"content": None, "tool_calls": None}, {"content": "hi"}, usage=None)
    assert answer.message["content"] == "hi"
    assert answer.usage.prompt_tokens == 0


def test_last_usage_counts_when_every_piece_has_one():
    """Usage that grows with the stream is not summed."""
    reader = OpenAIReader()
    for tokens in (1, 2, 3):
        reader.take({"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})
    assert (reader.answer().usage.prompt_tokens, reader.answer().usage.completion_tokens) == (7, 3)


@pytest.mark.parametrize("count", [-1, "9", 1.5, True, 1 << 80])
def test_implausible_usage_is_no_usage(count):
    """A count that is none can't spoil a sum or a budget."""
    assert read({"content": "x"}, usage={"prompt_tokens": count}).usage.prompt_tokens == 0


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": {"message": "boom"}}, "bad_response"),
        ({"error": "boom"}, "bad_response"),
        ({"object": "error", "message": "boom", "code": 429}, "rate_limited"),
        ({"error": {"message": "boom", "type": "server_error"}}, "unreachable"),
        ({"error": {"message": "boom", "type": "x", "code": "invalid_api_key"}}, "auth"),
    ],
)
def test_error_inside_an_answer_has_its_kind(event, kind):
    """An error object in a stream that began well is the error that it says."""
    with pytest.raises(AnswerFaultError, match="boom") as caught:
        OpenAIReader().take(event)
    assert caught.value.kind == kind


def test_answer_without_choices_is_refused():
    """Some JSON that is no completion is not taken for an empty answer."""
    reader = OpenAIReader()
    reader.take({"hello": "world"})
    with pytest.raises(AnswerFaultError):
        reader.answer()


def test_finish_reason_of_a_cut_answer_is_length():
    """The caller learns that the answer was too long for its model."""
    assert read({"content": "x"}, finish_reason="length").finish_reason == "length"


def test_lone_surrogates_are_replaced():
    """Half a character can't be sent on as UTF-8."""
    read({"content": json.loads('"\\ud83d"')}).message["content"].encode()


async def test_body_names_model_and_offered_tools():
    """Model and tools are the host's; messages go as they are."""
    call = make_call("hi", tools=("terminal",))
    body = openai_body(call)
    assert body["model"] == "offline"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["terminal"]
    assert body["messages"] == call.messages
    assert "stream_options" not in openai_body(call, with_usage=False)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://h/v1", "http://h/v1/chat/completions"),
        ("http://h/v1/", "http://h/v1/chat/completions"),
        ("http://h/deploy?api-version=1", "http://h/deploy/chat/completions?api-version=1"),
    ],
)
def test_url_lies_below_the_base_url(base_url, url):
    """A query stays at the end."""
    assert openai_url(base_url) == url
