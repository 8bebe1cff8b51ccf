"""The test server itself, against the official client: what it speaks is the protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import openai
import pytest
import trio

from tests.servers.model_server import serve_model_server

ROOT = Path(__file__).parents[3]
TOOL = {"type": "function", "function": {"name": "terminal", "parameters": {"type": "object", "properties": {}}}}


def ask(url, text, **more):
    """Ask with the official client, which checks the answer's shape."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", _strict_response_validation=True, max_retries=0) as client:
        return client.chat.completions.create(model="test", messages=[{"role": "user", "content": text}], **more)


def ask_streaming(url, text, **more):
    """Ask with the official client and return all chunks."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", _strict_response_validation=True, max_retries=0) as client:
        messages = [{"role": "user", "content": text}]
        return list(client.chat.completions.create(model="test", messages=messages, stream=True, **more))


async def in_thread(function, *args, **kwargs):
    """Run a blocking client beside the server."""
    return await trio.to_thread.run_sync(lambda: function(*args, **kwargs))


async def test_server_answers_the_official_client():
    """A plain and a tool-calling answer pass the client's strict validation."""
    async with serve_model_server() as server:
        said = await in_thread(ask, server.url, "hi")
        called = await in_thread(ask, server.url, 'CALL terminal {"command": "ls"}', tools=[TOOL])
    assert said.choices[0].message.content == "echo: hi"
    assert said.usage.total_tokens > 0
    (call,) = called.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"command": "ls"}
    assert called.choices[0].finish_reason == "tool_calls"


async def test_server_streams_to_the_official_client():
    """A stream of text and one of a tool call pass strict validation, usage included."""
    async with serve_model_server() as server:
        said = await in_thread(ask_streaming, server.url, "hi", stream_options={"include_usage": True})
        called = await in_thread(ask_streaming, server.url, 'CALL terminal {"command": "ls"}')
    assert "".join(chunk.choices[0].delta.content or "" for chunk in said if chunk.choices) == "echo: hi"
    assert said[-1].usage.prompt_tokens > 0
    pieces = [call for chunk in called for call in chunk.choices[0].delta.tool_calls or ()]
    assert pieces[0].function.name == "terminal"
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == {"command": "ls"}


async def test_server_fails_as_the_official_client_expects():
    """A status on request is that exception of the client."""
    async with serve_model_server() as server:
        with pytest.raises(openai.RateLimitError) as caught:
            await in_thread(ask, server.url, "RETRYAFTER 7")
    assert caught.value.response.headers["retry-after"] == "7"


async def test_model_name_chooses_the_behaviour():
    """A model named after a behaviour behaves so whatever the text says."""
    async with serve_model_server() as server:
        with pytest.raises(openai.InternalServerError):
            await in_thread(_ask_model, server.url, "status-503")


def _ask_model(url, model):
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])


@pytest.mark.slow
def test_server_runs_as_a_program():
    """The program prints its URL and shows what it was asked."""
    argv = [sys.executable, "-m", "tests.servers.model_server", "--port", "0"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert ask(url, "hi").choices[0].message.content == "echo: hi"
            with urllib.request.urlopen(f"{url}/requests", timeout=10) as response:
                (request,) = json.load(response)["requests"]
        finally:
            process.terminate()
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == "Bearer k"
