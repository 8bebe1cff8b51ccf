"""Answers byte by byte as odd servers send them, and the sink between a stream and its listener."""

from __future__ import annotations

import gzip
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from hermes_iso.broker.calls import PIECE
from hermes_iso.broker.models import ModelBroker, ModelLimits
from hermes_iso.broker.upstream import TextSink
from hermes_iso.errors import ModelError
from tests.support.model_calls import Listener, make_call, make_settings

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
TLS_HELLO = b"\x16\x03"
TEXT = b'data: {"choices": [{"delta": {"content": "hi"}}]}\n\n'
FINISH = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'


@asynccontextmanager
async def serve_bytes(answer, *, then_wait=False, served=None):
    """Serve the same bytes to every request, then close, or wait for the client to do so; give the base_url."""

    async def serve(stream):
        async with stream:
            asked = b""
            while not asked.endswith(b'"include_usage":true}}'):  # closing on unread bytes would reset the connection
                chunk = await stream.receive_some(1 << 16)
                if not chunk or chunk.startswith(TLS_HELLO):
                    break
                asked += chunk
            await stream.send_all(answer)
            if served is not None:
                served.append(answer)
            if then_wait:
                await stream.receive_some(1)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/v1"
        nursery.cancel_scope.cancel()


async def ask(answer, *, then_wait=False, served=None, **limits):
    """Ask a server that sends these bytes; return the answer, or the error."""
    served_at = serve_bytes(answer, then_wait=then_wait, served=served)
    async with served_at as url, ModelBroker(ModelLimits(backoff=0.001, **limits)) as broker:
        try:
            return await broker.complete(make_call("hi", settings=make_settings(url), seconds=5), Listener())
        except ModelError as error:
            return error


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HEAD + b"\r\n" + TEXT + FINISH, id="no [DONE]"),
        pytest.param(HEAD + b"\r\n" + TEXT + b"data: [DONE]\n\n", id="no finish reason"),
        pytest.param(HEAD + b"\r\n" + TEXT + b"data: [DONE]", id="no last line end"),
        pytest.param(HEAD + b"content-length: 9999\r\n\r\n" + TEXT + FINISH, id="cut after the finish reason"),
        pytest.param(HEAD + b"content-length: 9999\r\n\r\n" + TEXT + b"data: [DONE]\n\n", id="cut after the end marker"),
        pytest.param(HEAD + b"\r\n\xef\xbb\xbf\n: hello\n\n" + TEXT + FINISH, id="mark, blank lines and comment first"),
    ],
)
async def test_answer_counts_once_it_is_finished(answer):
    """An end marker or a finish reason makes an answer whole, whatever happens to the connection then."""
    assert (await ask(answer)).message["content"] == "hi"


async def test_answer_does_not_wait_for_a_connection_left_open():
    """After the end marker nothing is waited for but a moment."""
    answer = await ask(HEAD + b"\r\n" + TEXT + b"data: [DONE]\n\n", then_wait=True)
    assert answer.message["content"] == "hi"


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        pytest.param(HEAD + b"\r\n" + TEXT, "cut", "before it was finished", id="ends too early"),
        pytest.param(HEAD + b"\r\n" + TEXT + b'data: {"choi', "cut", "before it was finished", id="ends in an event"),
        pytest.param(HEAD + b"\r\n", "cut", "before it was finished", id="empty"),
        pytest.param(HEAD + b"content-length: 9999\r\n\r\n" + TEXT, "cut", "broke off", id="ends before its length"),
        pytest.param(HEAD + b"\r\n <!doctype html>", "bad_response", "web page", id="web page"),
        pytest.param(HEAD + b"\r\ndata: [1]\n\n", "bad_response", "not a JSON object", id="no object"),
        pytest.param(HEAD + b"\r\ndata: [DONE]\n\n", "bad_response", "no choices", id="nothing but the end"),
        pytest.param(HEAD + b"\r\n" + b"x" * 5000, "bad_response", "longer than 4096", id="long line"),
        pytest.param(HEAD + b'\r\n{"a": "' + b"x" * 9000, "bad_response", "longer than 8192", id="long document"),
        pytest.param(HEAD + b"\r\n" + TEXT * 900, "bad_response", "too long", id="long answer"),
        pytest.param(
            HEAD + b"content-encoding: gzip\r\n\r\n" + gzip.compress(TEXT + FINISH), "bad_response", "compressed", id="gzip"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", "unreachable", "without an answer", id="no HTTP"),
        pytest.param(
            HEAD + b'\r\ndata: {"error": {"message": "busy", "type": "server_error"}}\n\n',
            "unreachable",
            "busy",
            id="error event",
        ),
    ],
)
async def test_answer_that_is_none_is_one_sentence(answer, kind, words):
    """Whatever bytes come back, the call ends with a kind and a sentence that says what was wrong."""
    error = await ask(answer, event_bytes=4096, document_bytes=8192, answer_bytes=40_000)
    assert isinstance(error, ModelError)
    assert error.kind == kind
    assert words in str(error)


@pytest.mark.parametrize(("before", "tries"), [(b"", 3), (TEXT, 1)])
async def test_passing_error_event_is_tried_again_only_before_any_text(before, tries):
    """A provider that is overloaded in its stream is asked again, unless the caller has seen text already."""
    served = []
    busy = b'data: {"error": {"message": "busy", "type": "server_error"}}\n\n'
    error = await ask(HEAD + b"\r\n" + before + busy, served=served)
    assert isinstance(error, ModelError)
    assert len(served) == tries


async def test_server_that_is_not_trusted_is_told_apart():
    """A TLS handshake that fails says so, instead of `can't be reached`."""
    async with serve_bytes(HEAD + b"\r\n") as url, ModelBroker() as broker:
        call = make_call("hi", settings=make_settings(url.replace("http:", "https:")), seconds=5)
        with pytest.raises(ModelError) as caught:
            await broker.complete(call, Listener())
    assert caught.value.kind == "unreachable"
    assert "TLS" in str(caught.value)


async def test_proxy_settings_of_the_environment_are_not_used(monkeypatch):
    """A variable that a library would obey does not send the key elsewhere."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert (await ask(HEAD + b"\r\n" + TEXT + FINISH)).message["content"] == "hi"


async def test_sink_hands_text_on_at_most_once_per_interval(autojump_clock):
    """The first piece goes at once; what comes within the interval waits and goes together."""
    listener = Listener()
    sink = TextSink(listener, 0.05)
    for letter in "abcdef":
        await sink.add(letter)
        await trio.sleep(0.02)
    await sink.flush()
    assert listener.pieces == ["a", "bcd", "ef"]


async def test_sink_hands_waiting_text_on_with_an_event_without_text(autojump_clock):
    """An event that adds nothing still lets the text before it through in time."""
    listener = Listener()
    sink = TextSink(listener, 0.05)
    await sink.add("a")
    await sink.add("b")
    await trio.sleep(1)
    await sink.add("")
    assert listener.pieces == ["a", "b"]


async def test_sink_cuts_long_text():
    """No piece is too long for a frame, and none is empty."""
    listener = Listener()
    sink = TextSink(listener, 0.0)
    await sink.add("x" * (2 * PIECE + 1))
    await sink.flush()
    assert [len(piece) for piece in listener.pieces] == [PIECE, PIECE, 1]
    assert sink.started
