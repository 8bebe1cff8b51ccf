"""Connections speak HTTP/1.1 alone, and nobody can hold one for long."""

import socket
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from hermes_iso.api.answers import ANSWER_TIMEOUT, Answer, Head, StreamAnswer, WholeAnswer, take_message
from hermes_iso.api.connections import HEAD_BYTES, IDLE_TIMEOUT, SEND_TIMEOUT, Connections
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress, Receipt
from tests.support.http import send_raw, serving
from tests.support.line import KEY

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


async def until_gone(scope: Any, receive: Any, send: Any) -> None:
    """Answer with more than all buffers hold, until the client has gone."""
    gone = False

    async def watch() -> None:
        nonlocal gone
        while not gone:
            gone = (await receive())["type"] == "http.disconnect"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone:
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})


async def brief(scope: Any, receive: Any, send: Any) -> None:
    """Answer with one word."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok", "more_body": False})


async def listen(nursery: trio.Nursery, connections: Connections) -> tuple[str, int]:
    """Serve on a port of its own and return where."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, connections.serve, listeners)
    host, port = listeners[0].socket.getsockname()
    return host, port


def connected_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Return both ends of a connection over TCP."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        one = socket.create_connection(listening.getsockname())
        other, _ = listening.accept()
    client, server = (trio.SocketStream(trio.socket.from_stdlib_socket(each)) for each in (one, other))
    return client, server


async def test_http2_preface_is_refused_at_once(tmp_path: Path) -> None:
    """A client that begins with HTTP/2 gets 505 in HTTP/1.1, and the connection ends, well before it would for idleness."""
    async with serving(tmp_path / "home") as served:
        with trio.fail_after(IDLE_TIMEOUT / 2):
            answer = await send_raw(served.url, PREFACE + SETTINGS)
        assert answer.startswith(b"HTTP/1.1 505 ")
        assert b"http_version_not_supported" in answer
        assert (await served.chat()).status_code == 200


async def test_garbage_behind_a_request_harms_nobody(tmp_path: Path) -> None:
    """What follows a request that was to be the last ends that connection, and nothing of it is a crash."""
    async with serving(tmp_path / "home") as served:
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        with structlog.testing.capture_logs() as logs, trio.fail_after(IDLE_TIMEOUT):
            for _ in range(20):
                await send_raw(served.url, request + b"\x00garbage" * 10)
        assert logs == []
        assert (await served.chat()).status_code == 200


async def test_upgrade_to_http2_is_ignored(tmp_path: Path) -> None:
    """A request that offers HTTP/2 is answered in HTTP/1.1."""
    request = (
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    async with serving(tmp_path / "home") as served:
        with trio.fail_after(IDLE_TIMEOUT / 2):
            assert (await send_raw(served.url, request)).startswith(b"HTTP/1.1 200 ")


async def test_request_with_two_lengths_is_400_and_ends_the_connection(tmp_path: Path) -> None:
    """What two readers could cut in two ways is not read at all, and nothing after it."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    second = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with serving(tmp_path / "home") as served:
        with trio.fail_after(IDLE_TIMEOUT / 2):
            answer = await send_raw(served.url, head.encode() + second)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"ambiguous_length" in answer
        assert answer.count(b"HTTP/1.1 ") == 1


async def test_long_head_is_refused(tmp_path: Path) -> None:
    """A request whose head does not end is not kept."""
    async with serving(tmp_path / "home") as served:
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * (HEAD_BYTES + 10)
        with trio.fail_after(IDLE_TIMEOUT / 2):
            assert (await send_raw(served.url, request)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_idle_connection_is_closed(sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    """Before the first request, in the middle of its head although more trickles in, and after an answer."""
    client, server = connected_pair()
    autojump_clock.autojump_threshold = 0.02
    async with client, trio.open_nursery() as nursery:
        nursery.start_soon(Connections(brief).serve, server)
        await client.send_all(sent)
        began, received, ended = trio.current_time(), b"", False
        while not ended:
            with trio.move_on_after(1):
                while data := await client.receive_some():
                    received += data
                ended = True
            if sent and not received and not ended:
                await client.send_all(b"X: y\r\n")
        assert IDLE_TIMEOUT <= trio.current_time() - began <= IDLE_TIMEOUT + 1
        assert bool(received) == sent.endswith(b"\r\n\r\n")


async def test_client_that_does_not_read_loses_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    """What can't be written in time ends the connection and the request."""
    client, server = connected_pair()
    autojump_clock.autojump_threshold = 0.05
    began = trio.current_time()
    async with client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await Connections(until_gone).serve(server)
    assert SEND_TIMEOUT <= trio.current_time() - began <= 2 * SEND_TIMEOUT


async def test_write_to_a_client_that_does_not_read_can_be_cancelled() -> None:
    """A server that stops waits for nobody."""
    client, server = connected_pair()
    async with client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(5), trio.move_on_after(0.2) as scope:
            await Connections(until_gone).serve(server)
    assert scope.cancelled_caught


@pytest.mark.parametrize("stream", [False, True])
async def test_answer_that_nobody_takes_frees_its_session(stream: bool, autojump_clock: trio.testing.MockClock) -> None:
    """A turn's end waits for its client for a while and no longer; what waits for the turn goes on."""

    async def stuck(message: Any) -> None:
        await trio.sleep_forever()

    async def receive() -> Any:
        await trio.sleep_forever()

    async def handle(inbound: Any, deliver: Any, relay: Any) -> Receipt:
        await trio.sleep(100)
        for _ in range(10 if stream else 0):
            await relay(Progress("text", "x"))
        receipt: Receipt = await deliver(Outbound(ChatRef("api_server", "c"), "x", "t", "main", "s"))
        return receipt

    head = Head("t", "m", {}, 0)
    answer: Answer = StreamAnswer(stuck, head, include_usage=False) if stream else WholeAnswer(stuck, head)
    began = trio.current_time()
    with trio.fail_after(1000):
        await take_message(handle, Inbound(ChatRef("api_server", "c"), "x", "1"), answer, receive)
    assert trio.current_time() - began == pytest.approx(100 + ANSWER_TIMEOUT)


async def test_connection_too_many_is_told_and_closed() -> None:
    """There is room again once another has ended."""
    async with trio.open_nursery() as nursery:
        where = await listen(nursery, Connections(brief, most=1))
        request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        url = f"http://{where[0]}:{where[1]}"
        async with await trio.open_tcp_stream(*where) as first:
            await first.send_all(request[:5])
            assert (await send_raw(url, b"")).startswith(b"HTTP/1.1 503 ")
            await first.send_all(request[5:])
            assert (await first.receive_some()).startswith(b"HTTP/1.1 200 ")
            while await first.receive_some():
                pass
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await send_raw(url, request)).startswith(b"HTTP/1.1 200 ")
        nursery.cancel_scope.cancel()
