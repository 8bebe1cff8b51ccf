"""A model provider for tests: OpenAI's chat completions and Anthropic's messages on 127.0.0.1, misbehaving on request.

As a program: `python -m tests.servers.model_server --port 0` prints its URL (the provider's base_url is that plus `/v1`), and
`GET /requests` returns what it was asked. In a test: `async with serve_model_server() as server`.

The first word of the last user message, or the model's name in lower case, says how to behave:

    (anything else)          answer `echo: ` and the text
    CALL <name> <json>       call that tool; once its result is there, answer `RESULT: ` and the result
    BADTOOL                  call a tool that does not exist, again and again
    BADARGS <name>           call that tool with arguments that are not JSON
    SLOW [seconds]           wait (30 seconds, or as many) before the answer begins
    HANG                     send the first words, then nothing more
    DOWN                     close the connection without an answer
    CUT                      close it in the middle of the answer
    BADJSON                  send an event that is not JSON
    FLOOD                    send words without end
    STATUS <code> [times]    fail with that status, always or so many times, then answer
    RETRYAFTER <s> [times]   fail with 429 and that Retry-After, always or so many times, then answer
    LEAKKEY                  fail with 401 and a text that repeats the key
    REDIRECT                 answer 307 to another address of this server

`plain=True` ignores `stream`; `strict=True` refuses `stream_options` with 400, as some compatible servers do.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import h11
import trio

from tests.servers.model_dialects import (
    Conversation,
    anthropic_events,
    anthropic_whole,
    decide,
    openai_events,
    openai_whole,
    read_conversation,
)

_READ = 1 << 16


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class HangupError(Exception):
    """The connection is to be closed at once."""


@dataclass(slots=True)
class ModelServer:
    """A running server: `url` without a path, and every request so far, oldest first."""

    url: str = ""
    requests: list[Recorded] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    plain: bool = False
    strict: bool = False
    failed: Counter[str] = field(default_factory=Counter)
    refused: dict[str, int] = field(default_factory=dict)
    """Keys that it refuses, each with a status."""

    @property
    def base_url(self) -> str:
        """What goes into `model.base_url`."""
        return f"{self.url}/v1"

    async def serve_connection(self, stream: trio.SocketStream) -> None:
        """Serve the requests of one connection, one after the other."""
        self.connections += 1
        self.open += 1
        http = Http(stream)
        try:
            while (request := await http.read_request()) is not None:
                self.requests.append(request)
                await self._answer(http, request)
                if not http.next_cycle():
                    break
        except (HangupError, trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)

    async def _answer(self, http: Http, request: Recorded) -> None:
        path = request.path.partition("?")[0].removeprefix("/v1")
        if request.method == "GET" and path == "/requests":
            asked = [{"method": r.method, "path": r.path, "headers": r.headers, "body": r.body} for r in self.requests]
            await http.send_json(200, {"requests": asked[:-1]})
        elif request.method == "GET" and path == "/models":
            await http.send_json(
                200, {"object": "list", "data": [{"id": "test", "object": "model", "created": 1, "owned_by": "test"}]}
            )
        elif request.method == "POST" and path in {"/chat/completions", "/messages"} and isinstance(request.body, dict):
            conversation = read_conversation(request.body, request.headers, anthropic=path == "/messages")
            if self.strict and "stream_options" in request.body:
                await http.send_json(
                    400, {"error": {"message": "Unknown parameter: stream_options", "type": "invalid_request_error"}}
                )
            elif not await self._fail(http, conversation):
                await self._complete(http, conversation)
        else:
            await http.send_json(404, {"error": {"message": f"no such path: {request.path}", "type": "not_found_error"}})

    async def _fail(self, http: Http, talk: Conversation) -> bool:
        """Misbehave before the answer begins; return True when that was the answer."""
        word, rest = talk.behaviour
        status = self.refused.get(_key(talk.headers))
        if status is not None:
            await http.send_json(status, {"error": {"message": f"refused key {_key(talk.headers)}", "type": "test_error"}})
            return True
        if word == "down":
            raise HangupError
        if word == "slow":
            await http.wait(float(rest or 30))
        if word in {"status", "retryafter"}:
            value, _, times = rest.partition(" ")
            self.failed[talk.user_text] += 1
            if times and self.failed[talk.user_text] > int(times):
                return False
            status = 429 if word == "retryafter" else int(value)
            headers = [("retry-after", value)] if word == "retryafter" else []
            await http.send_json(status, {"error": {"message": f"test error {status}", "type": "test_error"}}, headers)
            return True
        if word == "leakkey":
            key = _key(talk.headers)
            await http.send_json(401, {"error": {"message": f"bad key {key}, spelled {' '.join(key)}\u0000"}})
            return True
        if word == "redirect":
            await http.send_json(307, {}, [("location", f"{self.url}/elsewhere")])
            return True
        return False

    async def _complete(self, http: Http, talk: Conversation) -> None:
        """Answer, streamed or not, in the dialect of the question."""
        call, text = decide(talk)
        word = talk.behaviour[0]
        if self.plain or not talk.body.get("stream"):
            if word in {"cut", "badjson"}:
                await http.send_broken_json(whole=word == "badjson")
                return
            whole = anthropic_whole(talk, call, text) if talk.anthropic else openai_whole(talk, call, text)
            await http.send_json(200, whole)
            return
        events = anthropic_events(talk, call, text) if talk.anthropic else openai_events(talk, call, text)
        await http.start_events()
        for number, event in enumerate(events):
            if number == 3 and word in {"cut", "badjson", "flood", "hang"}:
                await self._break_stream(http, word, events[2])
            await http.send_event(event)
        await http.end_events()

    async def _break_stream(self, http: Http, word: str, event: str) -> None:
        """Misbehave in the middle of a stream."""
        if word == "cut":
            raise HangupError
        if word == "hang":
            await http.wait(float("inf"))
        if word == "badjson":
            await http.send_event('data: {"choices": [{"delta": {"content": "x"\n\n')
        while word == "flood":
            await http.send_event(event * 1000)


class Http:
    """HTTP/1.1 for one connection, over h11."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)

    async def read_request(self) -> Recorded | None:
        """Return the next request with its body, or None when the client is gone."""
        request: h11.Request | None = None
        data = bytearray()
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(await self._stream.receive_some(_READ))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                data += event.data
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                headers = {name.decode().lower(): value.decode() for name, value in request.headers}
                body = _json_or_text(bytes(data))
                return Recorded(request.method.decode(), request.target.decode(), headers, body)
            else:
                return None

    async def wait(self, seconds: float) -> None:
        """Wait, or hang up as soon as the client does."""
        with trio.move_on_after(seconds):
            await self._stream.receive_some(1)
            raise HangupError

    def next_cycle(self) -> bool:
        """Make ready for the next request; False when there can be none."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def send_json(self, status: int, value: Any, headers: list[tuple[str, str]] | None = None) -> None:
        """Send a whole answer."""
        data = json.dumps(value).encode()
        fixed = [("content-type", "application/json"), ("content-length", str(len(data)))]
        await self._send(h11.Response(status_code=status, headers=fixed + (headers or [])))
        await self._send(h11.Data(data=data))
        await self._send(h11.EndOfMessage())

    async def send_broken_json(self, *, whole: bool) -> None:
        """Send an answer that is not JSON, or one that ends too early."""
        length = 20 if whole else 1000
        await self._send(
            h11.Response(status_code=200, headers=[("content-type", "application/json"), ("content-length", str(length))])
        )
        await self._send(h11.Data(data=b'{"choices": [{"mess '))
        if not whole:
            raise HangupError
        await self._send(h11.EndOfMessage())

    async def start_events(self) -> None:
        """Send the head of a stream of events."""
        headers = [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]
        await self._send(h11.Response(status_code=200, headers=headers))

    async def send_event(self, text: str) -> None:
        """Send part of a stream."""
        await self._send(h11.Data(data=text.encode()))

    async def end_events(self) -> None:
        """End a stream."""
        await self._send(h11.EndOfMessage())

    async def _send(self, event: Any) -> None:
        data = self._h11.send(event)
        if data:
            await self._stream.send_all(data)


def _key(headers: dict[str, str]) -> str:
    return headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")


def _json_or_text(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return data.decode("utf-8", "replace")


@asynccontextmanager
async def serve_model_server(*, port: int = 0, plain: bool = False, strict: bool = False) -> AsyncIterator[ModelServer]:
    """Serve on 127.0.0.1 for the time of the block."""
    server = ModelServer(plain=plain, strict=strict)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(server.serve_connection, port, host="127.0.0.1", task_status=task_status)
        )
        server.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield server
        nursery.cancel_scope.cancel()


async def _main(port: int, plain: bool, strict: bool) -> None:
    async with serve_model_server(port=port, plain=plain, strict=strict) as server:
        print(server.url, flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="never stream")
    parser.add_argument("--strict", action="store_true", help="refuse stream_options")
    arguments = parser.parse_args()
    trio.run(_main, arguments.port, arguments.plain, arguments.strict)
