"""ModelBroker against a real server: answers, retries, deadlines, and what an error may say."""

from __future__ import annotations

import json

import pytest
import trio

from hermes_iso.broker.models import ModelBroker, ModelLimits
from hermes_iso.errors import ModelError
from tests.servers.model_server import serve_model_server
from tests.support.model_calls import KEY, Listener, make_call, make_settings

MODES = ("chat_completions", "anthropic_messages")
QUICK = ModelLimits(backoff=0.001, answer_bytes=1 << 20)


@pytest.fixture
async def server():
    async with serve_model_server() as server:
        yield server


@pytest.fixture(params=MODES)
def settings(request, server):
    """Name the test server in either dialect."""
    return make_settings(server.base_url, api_mode=request.param)


@pytest.fixture
async def broker():
    async with ModelBroker(QUICK) as broker:
        yield broker


async def failure(broker, call, listener=None):
    """Return the error that a call ends with."""
    with pytest.raises(ModelError) as caught:
        await broker.complete(call, listener or Listener())
    return caught.value


async def test_complete_streams_and_returns_the_answer(broker, settings):
    """The text arrives in pieces, then as one normalised message with usage."""
    listener = Listener()
    answer = await broker.complete(make_call("good morning", settings=settings), listener)
    assert answer.message == {"role": "assistant", "content": "echo: good morning"}
    assert answer.finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens == 3
    assert listener.text == "echo: good morning"
    assert len(listener.pieces) > 1


@pytest.mark.parametrize("mode", MODES)
async def test_complete_accepts_an_unstreamed_answer(broker, mode):
    """A server that ignores `stream` and answers one JSON document is understood, text and calls."""
    async with serve_model_server(plain=True) as server:
        settings = make_settings(server.base_url, api_mode=mode)
        listener = Listener()
        said = await broker.complete(make_call("hi", settings=settings), listener)
        called = await broker.complete(make_call('CALL terminal {"command": "ls"}', settings=settings), listener)
    assert said.message["content"] == listener.text == "echo: hi"
    assert json.loads(called.message["tool_calls"][0]["function"]["arguments"]) == {"command": "ls"}


async def test_complete_carries_tool_calls_and_results_both_ways(broker, settings, server):
    """A call comes back in OpenAI's shape, and its result is understood by a provider of either dialect."""
    call = make_call('CALL terminal {"command": "ls"}', settings=settings, tools=("terminal",))
    answer = await broker.complete(call, Listener())
    assert answer.finish_reason == "tool_calls"
    (made,) = answer.message["tool_calls"]
    assert (made["function"]["name"], json.loads(made["function"]["arguments"])) == ("terminal", {"command": "ls"})
    result = {"role": "tool", "tool_call_id": made["id"], "content": "a.txt"}
    again = make_call("", settings=settings, tools=("terminal",), messages=[*call.messages, answer.message, result])
    assert (await broker.complete(again, Listener())).message["content"] == "RESULT: a.txt"
    assert json.dumps(server.requests[0].body["tools"]).count('"terminal"') == 1


async def test_requests_carry_the_key_in_the_header_of_their_dialect(broker, settings, server):
    """The key travels as Bearer or x-api-key, further headers as configured, and the rest is the host's decision."""
    settings = make_settings(settings.base_url, api_mode=settings.api_mode, headers={"x-team": "blue"})
    await broker.complete(make_call("hi", settings=settings), Listener())
    (request,) = server.requests
    if settings.api_mode == "anthropic_messages":
        assert request.path == "/v1/messages"
        assert request.headers["x-api-key"] == KEY
        assert request.headers["anthropic-version"]
        assert request.body["max_tokens"] > 0
    else:
        assert request.path == "/v1/chat/completions"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.body["stream_options"] == {"include_usage": True}
    assert request.headers["x-team"] == "blue"
    assert request.body["stream"] is True
    assert "tools" not in request.body


async def test_connections_are_reused(broker, settings, server):
    """Calls one after the other share one connection."""
    for _ in range(4):
        await broker.complete(make_call("hi", settings=settings), Listener())
    assert server.connections == 1


@pytest.mark.parametrize("said", ["STATUS 503 2", "STATUS 429 1", "RETRYAFTER 0.02 1"])
async def test_complete_tries_again_after_a_passing_failure(broker, settings, server, said):
    """429 and 5xx are asked again, and the caller sees only the answer."""
    answer = await broker.complete(make_call(said, settings=settings), Listener())
    assert answer.message["content"] == f"echo: {said}"
    assert len(server.requests) == int(said.split()[-1]) + 1


@pytest.mark.parametrize(
    ("said", "kind", "tries"),
    [
        ("STATUS 500", "unreachable", 3),
        ("STATUS 529", "unreachable", 3),
        ("STATUS 429", "rate_limited", 3),
        ("RETRYAFTER 99", "rate_limited", 1),
        ("DOWN", "unreachable", 3),
        ("STATUS 400", "refused", 1),
        ("STATUS 401", "auth", 1),
        ("STATUS 403", "auth", 1),
        ("STATUS 404", "config", 1),
        ("REDIRECT", "config", 1),
        ("CUT", "cut", 1),
        ("BADJSON", "bad_response", 1),
        ("FLOOD", "bad_response", 1),
    ],
)
async def test_failures_have_their_kind_and_number_of_tries(broker, settings, server, said, kind, tries):
    """Each way to fail has one kind and one sentence that names the provider; only passing ones are tried again."""
    error = await failure(broker, make_call(said, settings=settings))
    assert error.kind == kind
    assert len(server.requests) == tries
    assert str(error).startswith("custom at 127.0.0.1:")
    assert str(error).endswith(".")
    assert error.retry_after == (99.0 if "99" in said else None)


@pytest.mark.parametrize("down", ["status-500", "status-401", "status-404", "down"])
async def test_fallbacks_answer_in_turn_when_the_model_does_not(broker, server, down):
    """Each with its own address, key and dialect; who answered is told."""
    first, second = make_settings(server.base_url, model=down), make_settings("http://127.0.0.1:1/v1")
    third = make_settings(server.base_url, model="spare", api_mode="anthropic_messages", api_key="sk-spare-0123456789")
    listener = Listener()
    answer = await broker.complete(make_call("hi", settings=first, fallbacks=(second, third)), listener)
    assert (answer.message["content"], answer.model, listener.text) == ("echo: hi", "spare", "echo: hi")
    assert server.requests[-1].headers["x-api-key"] == "sk-spare-0123456789"


async def test_what_all_models_fail_at_is_told_by_the_first(broker, server):
    """The agent's own model is the one that its people know of."""
    first, second = (make_settings(server.base_url, model=model) for model in ("status-404", "status-500"))
    error = await failure(broker, make_call("hi", settings=first, fallbacks=(second,)))
    assert error.kind == "config"
    assert "the model status-404" in str(error)


@pytest.mark.parametrize("said", ["STATUS 400", "CUT"])
async def test_no_fallback_is_asked_what_is_wrong_or_answered_in_part(broker, server, settings, said):
    """A question that is refused would be refused again, and text that was seen is not said twice."""
    await failure(broker, make_call(said, settings=settings, fallbacks=(make_settings(server.base_url, model="spare"),)))
    assert [request.body["model"] for request in server.requests] == ["test"]


async def test_waits_double_their_ceiling_between_tries(settings):
    """Backoff is exponential: the random wait is drawn below a ceiling that doubles."""
    ceilings = []
    async with ModelBroker(ModelLimits(), jitter=lambda ceiling: ceilings.append(ceiling) or 0.0) as broker:
        await failure(broker, make_call("STATUS 500", settings=settings))
    assert ceilings == [0.5, 1.0]


async def test_retries_end_before_the_deadline(settings, server):
    """A wait that would pass the deadline is not begun: the caller hears why at once."""
    async with ModelBroker(jitter=lambda ceiling: 100.0) as broker:
        error = await failure(broker, make_call("STATUS 500", settings=settings, seconds=5))
    assert error.kind == "unreachable"
    assert len(server.requests) == 1


async def test_what_was_streamed_stays_said_when_the_stream_is_cut(broker, settings, server):
    """Text that the caller has seen is never followed by a second try."""
    listener = Listener()
    assert (await failure(broker, make_call("CUT", settings=settings), listener)).kind == "cut"
    assert "echo: CUT".startswith(listener.text)
    assert listener.text
    assert len(server.requests) == 1


@pytest.mark.parametrize("said", ["SLOW", "HANG"])
async def test_deadline_ends_the_call_and_its_connection(broker, settings, server, said):
    """At the deadline the call fails as `timeout`, and the server sees its client go."""
    error = await failure(broker, make_call(said, settings=settings, seconds=0.1))
    assert error.kind == "timeout"
    with trio.fail_after(5):
        while server.open:
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("said", ["SLOW", "HANG"])
async def test_silence_ends_the_call(settings, server, said):
    """A provider that says nothing for the read timeout fails the call as `timeout`, without another try."""
    async with ModelBroker(ModelLimits(read_timeout=0.05)) as broker:
        error = await failure(broker, make_call(said, settings=settings))
    assert error.kind == "timeout"
    assert len(server.requests) == 1


async def test_cancelling_a_call_closes_its_connection(broker, settings, server):
    """A cancelled call is gone at the provider too, in the middle of its stream."""
    with trio.CancelScope() as scope:

        async def cancel(text: str) -> None:
            scope.cancel()

        await broker.complete(make_call("HANG", settings=settings), cancel)
    assert scope.cancelled_caught
    with trio.fail_after(5):
        while server.open:
            await trio.lowlevel.checkpoint()


async def test_error_of_the_listener_passes_unchanged_and_at_once(broker, settings):
    """What on_text raises is the caller's own business, and the rest of the answer is not waited for."""
    begun = trio.current_time()

    async def refuse(text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError):
        await broker.complete(make_call("HANG", settings=settings), refuse)
    assert trio.current_time() - begun < 0.9


async def test_key_never_shows_when_an_error_repeats_it(broker, settings):
    """A provider that repeats the key, spaced out too, is not quoted with it, and no repr holds it."""
    call = make_call("LEAKKEY", settings=settings)
    error = await failure(broker, call)
    assert error.kind == "auth"
    assert "CUSTOM_API_KEY in /srv/home/.env" in str(error)
    for text in (str(error), repr(error), repr(call)):
        assert KEY not in text
        assert " ".join(KEY) not in text
    assert "\x00" not in str(error)


async def test_missing_key_is_named_before_any_connection(broker, settings, server):
    """Without the key that a provider needs nothing is sent, and the sentence says where the key goes."""
    settings = make_settings(settings.base_url, api_mode=settings.api_mode, api_key=None)
    error = await failure(broker, make_call("hi", settings=settings))
    assert error.kind == "auth"
    assert "CUSTOM_API_KEY in /srv/home/.env" in str(error)
    assert server.connections == 0


async def test_provider_without_keys_is_sent_none(broker, server):
    """A local server that needs no key gets no Authorization header."""
    settings = make_settings(server.base_url, api_key=None, key_hint="")
    await broker.complete(make_call("hi", settings=settings), Listener())
    assert "authorization" not in server.requests[0].headers


async def test_unreachable_server_is_named(settings, server, broker):
    """A refused connection says which provider and host, and what to look at."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    settings = make_settings(f"http://127.0.0.1:{port}/v1", api_mode=settings.api_mode)
    error = await failure(broker, make_call("hi", settings=settings))
    assert error.kind == "unreachable"
    assert f"custom at 127.0.0.1:{port} can't be reached (Connection refused)" in str(error)
    assert "base_url" in str(error)


async def test_redirects_are_not_followed(broker, settings, server):
    """The key does not travel to where a provider points."""
    await failure(broker, make_call("REDIRECT", settings=settings))
    assert [request.path for request in server.requests if "elsewhere" in request.path] == []


async def test_stream_options_are_left_out_once_refused(broker):
    """A server that refuses stream_options is asked again without them, and later calls know it."""
    async with serve_model_server(strict=True) as server:
        settings = make_settings(server.base_url)
        for _ in range(2):
            answer = await broker.complete(make_call("hi", settings=settings), Listener())
            assert answer.message["content"] == "echo: hi"
    assert ["stream_options" in request.body for request in server.requests] == [True, False, False]


async def test_answer_that_would_not_fit_a_frame_is_refused(settings):
    """An assembled answer is bounded, whatever came over the network."""
    async with ModelBroker(ModelLimits(message_bytes=200)) as broker:
        error = await failure(broker, make_call("x" * 500, settings=settings))
    assert error.kind == "bad_response"


async def test_no_model_configured_says_what_to_set(broker):
    """Provider `none` is a config error that names the key."""
    settings = make_settings("http://x", provider="none", model="", key_hint="OPENAI_API_KEY in /srv/home/.env", api_key=None)
    error = await failure(broker, make_call("hi", settings=settings))
    assert error.kind == "config"
    assert "OPENAI_API_KEY in /srv/home/.env" in str(error)


async def test_calls_run_side_by_side(broker, settings, server):
    """One slow provider call does not hold up another."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.complete, make_call("HANG", settings=settings), Listener())
        while not server.requests:
            await trio.lowlevel.checkpoint()
        answer = await broker.complete(make_call("hi", settings=settings), Listener())
        nursery.cancel_scope.cancel()
    assert answer.message["content"] == "echo: hi"
