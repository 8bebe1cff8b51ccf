"""The throw-away certificate of a run: who is trusted by it, and what happens where none can be made."""

from __future__ import annotations

import ssl

import pytest
import trio

from hermes_iso.prove.certificate import make_certificate
from hermes_iso.prove.far_host import open_far_host

HOST = "trusted.example"


@pytest.fixture
async def certificate(tmp_path):
    made = await make_certificate(HOST, tmp_path)
    if made is None:
        pytest.skip("there is no openssl here")
    return made


async def test_a_host_speaks_tls_to_who_trusts_it_and_hears_what_it_decrypts(certificate):
    """What comes is remembered behind the mark of TLS; without TLS the same host is heard as before."""
    async with open_far_host(certificate.serving) as host:
        plain = await trio.open_tcp_stream("127.0.0.1", host.port)
        stream = trio.SSLStream(plain, certificate.trusting, server_hostname=HOST, https_compatible=True)
        async with stream:
            await stream.send_all(b"GET /by-tls HTTP/1.1\r\n\r\n")
            assert b"from-far-away" in await stream.receive_some()
        async with await trio.open_tcp_stream("127.0.0.1", host.port) as stream:
            await stream.send_all(b"GET /plain HTTP/1.1\r\n\r\n")
            assert b"from-far-away" in await stream.receive_some()
        assert host.heard("\x16\x03", "/by-tls")
        assert host.heard("/plain")
        assert not host.heard("\x16\x03", "/plain")


@pytest.mark.parametrize(("name", "trusting"), [("other.example", True), (HOST, False)])
async def test_nobody_else_trusts_it(certificate, name, trusting):
    """Neither under another name, nor by the system's bundle."""
    context = certificate.trusting if trusting else ssl.create_default_context()
    async with open_far_host(certificate.serving) as host:
        plain = await trio.open_tcp_stream("127.0.0.1", host.port)
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(plain, context, server_hostname=name).do_handshake()
        await trio.aclose_forcefully(plain)


async def test_its_key_does_not_stay(certificate, tmp_path):
    """Nor anything else of it."""
    assert list(tmp_path.iterdir()) == []


async def test_without_openssl_there_is_none(tmp_path, monkeypatch):
    """Whatever the reason; the caller says what it skips."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await make_certificate(HOST, tmp_path) is None
