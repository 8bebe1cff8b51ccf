"""The official OpenAI SDK against `hermes-iso run --demo`, in strict response validation."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI

from tests.support.gateways import Running, running_gateway


@pytest.fixture(scope="module")
def demo() -> Iterator[Running]:
    """Serve the demo home."""
    with running_gateway("--demo", "--port", "0") as gateway:
        yield gateway


def sdk(demo: Running, agent: str | None = None, key: str | None = None) -> OpenAI:
    """Return the SDK's client, which refuses any response that is not exactly of the documented shape."""
    url = f"{demo.url}/p/{agent}/v1" if agent else f"{demo.url}/v1"
    return OpenAI(base_url=url, api_key=key or demo.key, max_retries=0, timeout=60, _strict_response_validation=True)


def user(text: str) -> list[dict[str, str]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": text}]


def test_ready_line_names_url_agents_and_key(demo: Running) -> None:
    """The one line that scripts read."""
    assert demo.ready.startswith("ready url=http://127.0.0.1:")
    assert " agents=main,coder key=" in demo.ready


def test_completion_has_text_usage_and_finish_reason(demo: Running) -> None:
    """A plain turn."""
    with sdk(demo) as client:
        answer = client.chat.completions.create(model="main", messages=user("hello there"))
    assert "hello there" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_stream_adds_up_to_the_text_and_ends_with_usage(demo: Running) -> None:
    """A streamed turn with stream_options.include_usage."""
    with sdk(demo) as client:
        stream = client.chat.completions.create(
            model="main", messages=user("one two three"), stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    assert "one two three" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_tool_turn_runs_in_the_agents_sandbox(demo: Running, stream: bool) -> None:
    """A turn that calls the terminal answers with what ran inside."""
    with sdk(demo) as client:
        answer = client.chat.completions.create(model="coder", messages=user("RUN id -un; echo $HOME; hostname"), stream=stream)
        text = "".join(c.choices[0].delta.content or "" for c in answer) if stream else answer.choices[0].message.content
    assert "RESULT:" in text
    assert "agent\\n/home/agent\\ncoder" in text


def test_responses_are_created_streamed_and_gone_on_from(demo: Running) -> None:
    """A response, one that goes on from it as a stream, and both again by their ids."""
    with sdk(demo, "coder") as client:
        first = client.responses.create(model="x", input="hello there", instructions="Be brief.", metadata={"a": "b"})
        assert "hello there" in first.output_text
        assert (first.status, first.instructions, first.metadata) == ("completed", "Be brief.", {"a": "b"})
        assert first.usage.total_tokens == first.usage.input_tokens + first.usage.output_tokens > 0
        stream = list(client.responses.create(model="x", input="RUN echo a", previous_response_id=first.id, stream=True))
        assert [event.sequence_number for event in stream] == list(range(len(stream)))
        assert stream[0].type == "response.created"
        last = stream[-1].response
        assert "".join(event.delta for event in stream if event.type == "response.output_text.delta") == last.output_text
        assert "RESULT:" in last.output_text
        assert (last.previous_response_id, last.id) == (first.id, stream[0].response.id)
        assert client.responses.retrieve(last.id).output_text == last.output_text
        with client.responses.stream(model="x", input="one two", previous_response_id=last.id) as helped:
            assert "one two" in helped.get_final_response().output_text
        client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(first.id)


def test_models_lists_the_agents(demo: Running) -> None:
    """Each served agent is a model."""
    with sdk(demo) as client:
        assert {model.id for model in client.models.list()} == {"main", "coder"}


def test_model_and_path_choose_the_agent(demo: Running) -> None:
    """The path counts before the model, the model before the default, and any other model is ignored."""
    with sdk(demo) as client, sdk(demo, "coder") as of_path:

        def who(client: OpenAI, model: str) -> str:
            response = client.chat.completions.with_raw_response.create(model=model, messages=user("who"))
            return response.headers["x-hermes-agent"]

        assert who(client, "coder") == "coder"
        assert who(client, "gpt-4o") == "main"
        assert who(of_path, "main") == "coder"


def test_session_header_continues_a_conversation(demo: Running) -> None:
    """With X-Hermes-Session-Id the gateway keeps the history; without it the caller does."""
    headers = {"X-Hermes-Session-Id": "conversation-1"}
    with sdk(demo, "coder") as client:
        create = client.chat.completions.with_raw_response.create
        first = create(model="x", messages=user("RUN echo a"), extra_headers=headers)
        second = create(model="x", messages=user("hello"), extra_headers=headers)
        other = create(model="x", messages=user("hello"))
    assert first.headers["x-hermes-session-id"] == second.headers["x-hermes-session-id"] == "conversation-1"
    assert other.headers["x-hermes-session-id"] != "conversation-1"
    assert first.headers["x-hermes-turn-id"] != second.headers["x-hermes-turn-id"]


@pytest.mark.parametrize(
    ("agent", "key", "error"),
    [
        (None, "a-wrong-key-of-some-length", openai.AuthenticationError),
        ("nobody", None, openai.NotFoundError),
        ("nobody", "a-wrong-key-of-some-length", openai.AuthenticationError),
    ],
)
def test_refusal_is_the_sdks_own_error(demo: Running, agent: str | None, key: str | None, error: type[Exception]) -> None:
    """Errors have OpenAI's shape, so that the SDK raises its own classes."""
    with sdk(demo, agent, key) as client, pytest.raises(error):
        client.chat.completions.create(model="x", messages=user("hello"))


@pytest.mark.parametrize("field", [{"messages": []}, {"messages": [{"role": "wizard", "content": "x"}]}, {"n": 2}])
def test_bad_field_is_named(demo: Running, field: dict) -> None:
    """A 400 says which field is wrong."""
    with sdk(demo) as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "x", "messages": user("hello"), **field})
    assert caught.value.param.startswith(next(iter(field)))
