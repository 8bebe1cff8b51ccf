"""What a program asks a model: bytes that stay as they are, and what is refused or taken out."""

import json

import pytest

from hermes_iso.broker.model_host.asking import BadBodyError, read_question
from tests.support.model_calls import make_settings

MODEL = make_settings("http://h/v1")
MODELS = {"test": MODEL, "custom/test": MODEL}
DENIED = frozenset({"terminal", "execute_code", "web_search"})


def read(body, refused=DENIED.__contains__):
    """Return the question of a body, given as a value or as bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_question(raw, MODELS, refused)


def function(name):
    """Return a function tool as OpenAI's chat completions have it."""
    return {"type": "function", "function": {"name": name, "parameters": {"properties": {"Model": {}, "model": {}}}}}


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model":"test","messages":[]}',
        b' {\n "messages" : [ {"role":"user","content":"\\u00e9 \xc3\xa9 1.0 1e2"} ], "model": "test", "x": 1.50 } \n',
        b'{"model":"test","tools":[{"type":"function","function":{"name":"get_weather"}}],"tool_choice":"auto"}',
        b'{"model":"test","tools":"strange","tool_choice":{"type":"function","function":{"name":"get_weather"}}}',
    ],
)
def test_a_body_goes_on_byte_for_byte(raw):
    """Blanks, escapes, the order of keys and the spelling of numbers stay, so that prompt caches keep working."""
    question = read(raw)
    assert question.content(MODEL) == raw
    assert question.removed == ()


def test_a_name_with_its_provider_is_sent_as_the_provider_knows_it():
    """Only the model's name changes."""
    question = read({"model": "custom/test", "messages": [1]})
    assert json.loads(question.content(MODEL)) == {"model": "test", "messages": [1]}


MINE, THEIRS = function("mine"), function("terminal")
SOME = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [THEIRS, MINE]}}
LEFT = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [MINE]}}
NONE = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "terminal"}]}


@pytest.mark.parametrize(
    ("body", "left", "removed"),
    [
        ({"tools": [THEIRS, MINE], "tool_choice": "auto"}, {"tools": [MINE], "tool_choice": "auto"}, "terminal"),
        ({"tools": [THEIRS], "tool_choice": "required", "parallel_tool_calls": True}, {}, "terminal"),
        ({"tools": [MINE, THEIRS], "tool_choice": THEIRS}, {"tools": [MINE]}, "terminal"),
        (
            {"tools": [{"name": "terminal"}, {"name": "mine"}], "tool_choice": {"type": "tool", "name": "terminal"}},
            {"tools": [{"name": "mine"}]},
            "terminal",
        ),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {}, "web_search"),
        ({"tools": [{"type": "web_search_preview"}, MINE]}, {"tools": [MINE]}, "web_search"),
        ({"tools": [{"type": "web_search_preview_2025_03_11"}, MINE]}, {"tools": [MINE]}, "web_search"),
        ({"tools": [{"type": "web_search", "function": {"name": "mine"}}, MINE]}, {"tools": [MINE]}, "web_search"),
        ({"tools": [{"type": "openrouter:web_search"}, MINE]}, {"tools": [MINE]}, "web_search"),
        ({"tools": [{"type": "builtin_function", "function": {"name": "$web_search"}}]}, {}, "web_search"),
        ({"web_search_options": {}, "tools": [MINE]}, {"tools": [MINE]}, "web_search"),
        ({"search_parameters": {"mode": "on"}}, {}, "web_search"),
        ({"enable_search": True}, {}, "web_search"),
        ({"plugins": [{"id": "web"}, {"id": "file-parser"}]}, {"plugins": [{"id": "file-parser"}]}, "web_search"),
        ({"tools": [{"type": "bash_20250124", "name": "anything"}]}, {}, "terminal"),
        ({"tools": [{"type": "code_interpreter", "container": {}}]}, {}, "execute_code"),
        (
            {"functions": [{"name": "terminal"}, {"name": "mine"}], "function_call": {"name": "terminal"}},
            {"functions": [{"name": "mine"}]},
            "terminal",
        ),
        ({"tools": [MINE, THEIRS], "tool_choice": SOME}, {"tools": [MINE], "tool_choice": LEFT}, "terminal"),
        ({"tools": [MINE], "tool_choice": NONE}, {"tools": [MINE]}, "terminal"),
    ],
)
def test_a_denied_tool_is_taken_out(body, left, removed):
    """Wherever a request names it, in either dialect; what is about no tool any more goes with it."""
    question = read({"model": "test", **body})
    assert question.removed == (removed,)
    assert json.loads(question.content(MODEL)) == {"model": "test", **left}


@pytest.mark.parametrize(
    ("raw", "status", "sentence"),
    [
        (b"{", 400, "The request's body is not JSON: "),
        (b"[1]", 400, "The request's body is not a JSON object."),
        (b'{"model": "test", "model": "other"}', 400, "has a key that stands twice in one object."),
        (b'{"model": "other", "x": {"y": 1, "y": 2}}', 400, "has a key that stands twice in one object."),
        (b'{"model": "test", "Model": "other"}', 400, "The key 'Model' is written in another case than 'model'"),
        (b'{"model": "test", "TOOLS": []}', 400, "The key 'TOOLS' is written in another case"),
        ('{"model": "test", "tool\u017f": []}'.encode(), 400, "is written in another case than 'tools'"),
        (b'{"model": "test", "x": NaN}', 400, "NaN is no number"),
        (b'{"model": "test", "seed": 99999999999999999999}', 400, "has an integer of more than 64 bits."),
        (b'{"model": "test", "temperature": 1e999}', 400, "has a number that is too large."),
        (b'{"model": "test", "messages": [' + b"[]," * 200_000 + b"[]]}", 400, "has more than 200000 values."),
        (b"\xff\xfe{\x00}\x00", 400, "The request's body is not UTF-8 at byte 0."),
        (b"[" * 100_000, 400, "The request's body is nested deeper than 100."),
        (b"{}", 400, "The request names no model: write one of test."),
        (b'{"model": ["test"]}', 400, "The request names no model"),
        (b'{"model": "gpt-9"}', 403, "The model 'gpt-9' is not one that this agent may use: write one of test."),
        (b'{"model": "test", "models": ["gpt-9"]}', 403, "A request names one model: leave out 'models'."),
        (b'{"model": "test", "background": true}', 403, "must not go on at its provider after its answer"),
        (b'{"model": "test", "Background": true}', 400, "is written in another case than 'background'"),
        (b'{"model": "test", "mcp_servers": [{"type": "url"}]}', 403, "A provider must not connect to MCP servers"),
        (b'{"model": "test", "tools": [{"type": "mcp"}]}', 403, "A provider must not connect to MCP servers"),
        (b'{"model": "test", "tools": [{"type": "MCP_toolset"}]}', 403, "A provider must not connect to MCP servers"),
    ],
)
def test_a_body_that_two_readers_could_take_in_two_ways_is_refused(raw, status, sentence):
    """What was checked is what a provider reads."""
    with pytest.raises(BadBodyError) as caught:
        read(raw)
    assert caught.value.status == status
    assert sentence in str(caught.value)
