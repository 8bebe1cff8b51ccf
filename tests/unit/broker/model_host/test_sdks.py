"""The SDKs of both dialects against the model host: unmodified but for their base_url, with any key string."""

import json
from contextlib import contextmanager

import anthropic
import httpx
import pytest
import trio
from openai import OpenAI

from hermes_iso.broker.models import ModelBroker, ModelLimits
from tests.servers.model_server import serve_model_server
from tests.support.hosts import Log, hosted, make_agent
from tests.support.model_calls import KEY, make_settings

ARGUMENTS = {"city": "Graz", "days": 3}
CALL = f"CALL weather {json.dumps(ARGUMENTS)}"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


@pytest.fixture
async def server():
    async with serve_model_server() as server:
        yield server


async def talk(server, mode, program):
    """Run a program in a thread with the address of its proxy; return what it returns and the turn's journal."""
    log, agent = Log(), make_agent(make_settings(server.base_url, api_mode=mode))
    async with ModelBroker(ModelLimits(backoff=0.001)) as broker, hosted(broker, agent, log) as (door, _):
        return await trio.to_thread.run_sync(program, door.url), log


@contextmanager
def openai_sdk(proxy):
    """Give OpenAI's SDK as a program in a sandbox has it."""
    with httpx.Client(proxy=proxy, trust_env=False) as http:
        yield OpenAI(base_url="http://model.local/v1", api_key="anything", http_client=http, max_retries=0)


@contextmanager
def anthropic_sdk(proxy):
    """Give Anthropic's SDK as a program in a sandbox has it."""
    with anthropic.DefaultHttpxClient(proxy=proxy, trust_env=False) as http:
        yield anthropic.Anthropic(base_url="http://model.local", api_key="anything", http_client=http, max_retries=0)


@pytest.mark.parametrize("streamed", [False, True])
async def test_openais_sdk_calls_a_tool_and_gives_its_result(server, streamed):
    """Two requests on one connection; the arguments arrive in pieces or whole, and the result is read."""

    def program(proxy):
        with openai_sdk(proxy) as sdk:
            tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
            messages = [{"role": "user", "content": CALL}]

            def ask():
                if not streamed:
                    return sdk.chat.completions.create(model="test", messages=messages, tools=tools).choices[0].message
                with sdk.chat.completions.stream(model="test", messages=messages, tools=tools) as stream:
                    return stream.get_final_completion().choices[0].message

            said = ask()
            (call,) = said.tool_calls
            messages.append({"role": "assistant", "tool_calls": [call.model_dump(exclude_none=True)]})
            messages[-1]["tool_calls"][0]["function"].pop("parsed_arguments", None)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
            return call.function.name, json.loads(call.function.arguments), ask().content

    found, log = await talk(server, "chat_completions", program)
    assert found == ("weather", ARGUMENTS, "RESULT: sunny")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert [entry["end"] for _, entry in log.entries] == ["ended", "ended"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_anthropics_sdk_calls_a_tool_and_gives_its_result(server, streamed):
    """The same in the other dialect."""

    def program(proxy):
        with anthropic_sdk(proxy) as sdk:
            tools = [{"name": "weather", "input_schema": SCHEMA}]
            messages = [{"role": "user", "content": CALL}]

            def ask():
                asked = {"model": "test", "max_tokens": 99, "messages": messages, "tools": tools}
                if not streamed:
                    return sdk.messages.create(**asked)
                with sdk.messages.stream(**asked) as stream:
                    return stream.get_final_message()

            said = ask()
            (call,) = said.content
            messages.append({"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]})
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
            messages.append({"role": "user", "content": [result]})
            return said.stop_reason, call.name, call.input, ask().content[0].text

    found, log = await talk(server, "anthropic_messages", program)
    assert found == ("tool_use", "weather", ARGUMENTS, "RESULT: sunny")
    assert server.requests[0].headers["x-api-key"] == KEY
    assert all(entry["completion_tokens"] > 0 for _, entry in log.entries)


async def test_anthropics_sdk_streams_text_event_by_event(server):
    """Each piece as the provider sent it."""

    def program(proxy):
        with anthropic_sdk(proxy) as sdk:
            asked = {"model": "test", "max_tokens": 99, "messages": [{"role": "user", "content": "hi there"}]}
            with sdk.messages.stream(**asked) as stream:
                return list(stream.text_stream), [model.id for model in sdk.models.list()]

    (pieces, models), _ = await talk(server, "anthropic_messages", program)
    assert ("".join(pieces), models) == ("echo: hi there", ["test"])
    assert len(pieces) > 2


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("STATUS 429", anthropic.RateLimitError),
        ("STATUS 401", anthropic.AuthenticationError),
        ("STATUS 529", anthropic.APIStatusError),
        ("DOWN", anthropic.InternalServerError),
    ],
)
async def test_anthropics_sdk_reads_errors(server, text, error):
    """Each has the provider's status and a sentence, in the shape that the SDK knows."""

    def program(proxy):
        with anthropic_sdk(proxy) as sdk:
            with pytest.raises(error) as caught:
                sdk.messages.create(model="test", max_tokens=9, messages=[{"role": "user", "content": text}])
            return caught.value.body["error"]["message"]

    sentence, _ = await talk(server, "anthropic_messages", program)
    assert sentence.endswith(".")
    assert KEY not in sentence
