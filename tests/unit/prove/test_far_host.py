"""The host behind a stage's door: what it hears, and how much of it it keeps."""

from __future__ import annotations

import trio

from hermes_iso.prove.far_host import ANSWER, REMEMBERED, FarHost, open_far_host


async def say(host: FarHost, *parts: bytes) -> bytes:
    """Send parts to a host, each once it has answered the one before, and return what it answers in all."""
    stream = await trio.open_tcp_stream("127.0.0.1", host.port)
    answer = b""
    async with stream:
        for part in parts:
            await stream.send_all(part)
            if not answer:
                answer = bytes(await stream.receive_some())
        await stream.send_eof()
        while more := await stream.receive_some():
            answer += more
    return answer


async def test_host_hears_what_comes_behind_an_answered_request():
    """It answers once, and remembers everything that its connections brought and nothing else."""
    async with open_far_host() as host:
        assert await say(host, b"GET /first HTTP/1.1\r\n\r\n", b"GET /second HTTP/1.1\r\n\r\n") == ANSWER
        assert (host.heard("/first"), host.heard("/second"), host.heard("/third")) == (True, True, False)


async def test_host_keeps_the_beginning_of_a_long_connection_alone():
    """What a probe pours through its door does not stay in the gateway's memory."""
    async with open_far_host() as host:
        await say(host, b"GET /first HTTP/1.1\r\n\r\n", b"x" * REMEMBERED + b"at-the-end")
        assert host.heard("/first")
        assert not host.heard("at-the-end")


async def test_host_breaks_off_where_tls_begins():
    """It says nothing to it, and remembers that somebody tried, with the texts of one connection together."""
    async with open_far_host() as host:
        assert await say(host, b"\x16\x03\x01 secret.example", b"") == b""
        await say(host, b"GET /first HTTP/1.1\r\n\r\n")
        assert host.heard("\x16\x03", "secret.example")
        assert not host.heard("/first", "secret.example")


async def test_host_answers_a_post_as_a_provider():
    """Once its body is there."""
    async with open_far_host() as host:
        answer = await say(host, b"POST /v1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert b"fine" in answer
