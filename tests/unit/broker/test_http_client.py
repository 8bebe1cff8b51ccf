"""HttpClient against servers that say byte by byte what they please: what is kept, what is sent again, what ends in time."""

from __future__ import annotations

import ssl
import traceback
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial

import pytest
import trio
import trio.testing
import trustme

from hermes_iso.broker.http_client import HttpClient, HttpError

BODY = b"0123456789"
GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Server:
    """Answers each whole request of a connection with what `script` says for it: bytes, a number of seconds, or its end."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.asked = []
        self.connections = 0
        self.left = trio.Event()

    async def serve(self, stream):
        self.connections += 1
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        try:
            for answers in script:
                if not await self._read_request(stream):
                    break
                for part in answers:
                    await (trio.sleep(part) if isinstance(part, float) else stream.send_all(part))
            else:
                return
        except trio.BrokenResourceError:
            pass
        finally:
            self.left.set()

    async def _read_request(self, stream):
        asked = b""
        while not asked.endswith(BODY):
            more = await stream.receive_some(1 << 16)
            if not more:
                return False
            asked += more
        self.asked.append(asked)
        return True


@asynccontextmanager
async def running(*scripts, ssl_context=None):
    """Serve these scripts, one for each connection and the last for all further ones; give the server and its address."""
    server = Server(*scripts)

    async def serve(stream):
        if ssl_context is not None:
            stream = trio.SSLStream(stream, ssl_context, server_side=True, https_compatible=True)
        try:
            await server.serve(stream)
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        scheme = "http" if ssl_context is None else "https"
        yield server, f"{scheme}://localhost:{listener.socket.getsockname()[1]}/v1/x?y=1"
        nursery.cancel_scope.cancel()


@contextmanager
def opened(tls=None, *, silence=5.0, **more):
    """Give a client, and close it."""
    with closing(HttpClient(tls or ssl.create_default_context(), connect_timeout=5.0, silence=silence, **more)) as client:
        yield client


@pytest.fixture
async def client():
    with opened() as client:
        yield client


async def ask(client, url, **headers):
    """Return all of an answer's body, in its pieces."""
    answer = await client.post(url, headers, BODY)
    pieces = []
    try:
        while piece := await answer.read():
            pieces.append(piece)
    finally:
        answer.close()
    return pieces


async def test_a_request_is_what_was_asked_for_and_no_more(client):
    """Host and length are added, and nothing of the environment or of earlier answers."""
    async with running([[GOOD.replace(b"\r\n\r\n", b"\r\nset-cookie: a=b\r\n\r\n")]] * 2) as (server, url):
        for _ in range(2):
            await ask(client, url, accept="x/y")
        host = url.split("/")[2]
    head = f"POST /v1/x?y=1 HTTP/1.1\r\nhost: {host}\r\naccept: x/y\r\ncontent-length: 10\r\n\r\n".encode()
    assert server.asked == [head + BODY] * 2


async def test_a_connection_is_used_again_after_an_answer_that_was_read(client):
    """Calls one after the other share one; those at the same time have one each."""
    async with running([[GOOD]] * 9) as (server, url):
        for _ in range(3):
            assert await ask(client, url) == [b"ok"]
        assert server.connections == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, client, url)
            nursery.start_soon(ask, client, url)
        assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "pieces"),
    [
        pytest.param([GOOD.replace(b"OK", b"OK\r\nconnection: close")], [b"ok"], id="the server says so"),
        pytest.param([b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"], [b"ok"], id="HTTP/1.0"),
        pytest.param([GOOD + b"more"], [b"ok"], id="bytes behind the answer"),
    ],
)
async def test_a_connection_that_is_not_fit_for_more_is_not_used_again(client, answer, pieces):
    """Whatever the server has said, the next request gets its own answer."""
    async with running([answer, [GOOD]]) as (server, url):
        assert await ask(client, url) == pieces
        assert await ask(client, url) == pieces
    assert server.connections == 2


async def test_an_answer_that_was_not_read_ends_its_connection(client):
    """What is left of it can't be taken for the next answer."""
    async with running([[GOOD]] * 2) as (server, url):
        answer = await client.post(url, {}, BODY)
        answer.close()
        answer.close()
        with trio.fail_after(5):
            await server.left.wait()
        with pytest.raises(RuntimeError):
            await answer.read()
        assert await ask(client, url) == [b"ok"]
    assert server.connections == 2


async def test_a_connection_that_was_closed_meanwhile_is_seen_before_it_is_used(client):
    """The request goes out once, on a new one."""
    async with running([[GOOD]], [[GOOD]]) as (server, url):
        await ask(client, url)
        with trio.fail_after(5):
            await server.left.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert await ask(client, url) == [b"ok"]
    assert len(server.asked) == 2


async def test_a_request_on_a_kept_connection_that_ends_unanswered_is_sent_once_more(client):
    """A server may close a kept connection just then; on a new connection the same is an error."""
    async with running([[GOOD], []], [[]], [[GOOD]]) as (server, url):
        await ask(client, url)
        with pytest.raises(HttpError) as caught:
            await ask(client, url)
        assert caught.value.fault == "broken"
        assert len(server.asked) == 3
        assert await ask(client, url) == [b"ok"]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param([b"HTTP/1.1 2"], "broken", id="half a line"),
        pytest.param([b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"], "broken", id="no header"),
        pytest.param([b"SSH-2.0-OpenSSH\r\n\r\n"], "broken", id="another protocol"),
        pytest.param([b"HTTP/1.1 200 OK\r\nx: " + b"y" * (1 << 17)], "broken", id="a head without end"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n" * 99 + GOOD], "broken", id="interim answers without end"),
        pytest.param([3600.0], "silent", id="silence"),
        pytest.param([b"HTTP/1.1 200 OK\r\n", 3600.0], "silent", id="silence in the head"),
    ],
)
async def test_a_request_that_was_answered_with_anything_is_not_sent_again(answer, fault):
    """Once a byte came, or the time is over, it may have been carried out; a malformed head is no answer."""
    async with running([[GOOD], answer]) as (server, url):
        with opened(silence=0.2) as client:
            await ask(client, url)
            with pytest.raises(HttpError) as caught:
                await ask(client, url)
    assert caught.value.fault == fault
    assert (len(server.asked), server.connections) == (2, 1)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"], "broken", id="short of its length"),
        pytest.param([CHUNKED + b"2\r\nok\r\n"], "broken", id="without a last chunk"),
        pytest.param([CHUNKED + b"2\r\nok\r\nzz\r\n"], "broken", id="a malformed chunk"),
        pytest.param([CHUNKED + b"2\r\nok\r\n", 3600.0], "silent", id="silence"),
    ],
)
async def test_a_body_that_does_not_come_to_its_end_is_an_error(answer, fault):
    """And what came before is given out."""
    async with running([answer]) as (_, url):
        with opened(silence=0.2) as client, closing(await client.post(url, {}, BODY)) as response:
            assert await response.read() == b"ok"
            with pytest.raises(HttpError) as caught:
                await response.read()
    assert caught.value.fault == fault


async def test_pieces_are_neither_merged_nor_held_back(client):
    """Chunks that arrive in one packet come out one by one; the first is there before the second was sent."""
    parts = [CHUNKED + b"2\r\nab\r\n1\r\nc\r\n", 0.05, b"3\r\ndef\r\n0\r\n\r\n"]
    async with running([parts, [GOOD]]) as (server, url):
        assert await ask(client, url) == [b"ab", b"c", b"def"]
        assert await ask(client, url) == [b"ok"]
    assert server.connections == 1


async def test_interim_answers_are_passed_over(client):
    """The one that counts is the last."""
    async with running([[b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3 + GOOD]]) as (_, url):
        assert await ask(client, url) == [b"ok"]


async def test_an_answer_that_came_before_all_was_sent_is_read(client):
    """A server that refuses a large request by its head, and reads no further, is heard."""

    async def refuse(stream):
        async with stream:
            await stream.receive_some(10)
            await stream.send_all(b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno")

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, refuse, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        with closing(await client.post(url, {}, b"x" * (32 << 20))) as answer:
            assert (answer.status, await answer.read()) == (413, b"no")
        nursery.cancel_scope.cancel()


async def test_headers_that_stand_there_twice_are_joined(client):
    """Names come out in lower case."""
    async with running([[GOOD.replace(b"OK", b"OK\r\nX-A: 1\r\nx-a: 2")]]) as (_, url):
        with closing(await client.post(url, {}, BODY)) as answer:
            assert answer.headers["x-a"] == "1, 2"


async def test_cancelling_a_request_ends_its_connection(client):
    """The server sees it at once, and no later request meets what it still says."""
    async with running([[3600.0, GOOD]], [[GOOD]]) as (server, url):
        with trio.move_on_after(0.2):
            await ask(client, url)
        assert await ask(client, url) == [b"ok"]
    assert server.connections == 2


@pytest.mark.parametrize("url", ["http://localhost:1/", "http://no-such-host.invalid/", f"http://{'x' * 70}.example/"])
async def test_a_host_that_is_not_reached_is_unreachable(client, url):
    """Whether its name or its port leads nowhere."""
    with pytest.raises(HttpError) as caught:
        await client.post(url, {}, b"")
    assert caught.value.fault == "unreachable"


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://localhost:1/", {"authorization": "Bearer SECRET\nx"}),
        ("http://localhost:1/", {"anthropic-beta": "SECRET\xff"}),
        ("http://localhost:1/SECRET y", {}),
        ("http://localhost:99999/SECRET", {}),
    ],
)
async def test_what_is_no_request_is_not_sent_and_not_repeated_in_the_error(client, url, headers):
    """An error is logged with all that led to it, and a key may be what can't be sent."""
    with pytest.raises(HttpError) as caught:
        await client.post(url, headers, BODY)
    assert caught.value.fault == "unsendable"
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


async def test_only_so_many_connections_are_kept():
    """The one that was used longest ago goes first."""
    async with running([[GOOD]] * 3) as (server, url):
        with opened(kept=1) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, client, url)
                nursery.start_soon(ask, client, url)
            with trio.fail_after(5):
                await server.left.wait()
            await ask(client, url)
    assert server.connections == 2


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def server_side(authority, name):
    """Return the TLS context of a server with a certificate for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_connections_are_used_again(authority):
    """As plain ones are, once their host is trusted."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    running_at = running([[GOOD]] * 3, ssl_context=server_side(authority, "localhost"))
    async with running_at as (server, url):
        with opened(tls) as client:
            for _ in range(3):
                assert await ask(client, url) == [b"ok"]
    assert server.connections == 1


async def test_an_answer_that_nobody_asked_for_is_nobodys_over_tls(authority):
    """It comes right behind another one, in a record of its own, and must not answer what is asked next."""
    tls = ssl.create_default_context()
    authority.configure_trust(tls)

    async def serve(plain):
        stream = trio.SSLStream(plain, server_side(authority, "localhost"), server_side=True, https_compatible=True)
        await stream.receive_some(1 << 16)
        for answer in (GOOD, GOOD.replace(b"ok", b"no")):
            stream._ssl_object.write(answer)
        await plain.send_all((stream._delayed_outgoing or b"") + stream._outgoing.read())
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listener, *_ = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        url = f"https://localhost:{listener.socket.getsockname()[1]}/"
        with opened(tls) as client:
            assert [await ask(client, url) for _ in range(2)] == [[b"ok"]] * 2
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("name", ["localhost", "other.example"])
async def test_a_host_without_its_certificate_is_not_trusted(authority, name):
    """One of another authority, or for another name; nothing was sent to it."""
    tls = ssl.create_default_context()
    if name != "localhost":
        authority.configure_trust(tls)
    async with running([[GOOD]], ssl_context=server_side(authority, name)) as (server, url):
        with opened(tls) as client, pytest.raises(HttpError) as caught:
            await client.post(url, {}, BODY)
    assert caught.value.fault == "untrusted"
    assert not server.asked
