"""The door's proxy, on real sockets: what goes through, what is refused, and what ends."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress

import h11
import httpx
import pytest
import trio
import trio.testing
import trustme
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.broker.egress.dialing import Dialer, Endpoint
from hermes_iso.broker.egress.door import Door
from hermes_iso.broker.egress.proxy import serve_connection
from hermes_iso.broker.egress.rules import EgressRules, parse_rule
from tests.support.doors import WebServer, opened, read_all, read_head, rules, serving

WEB = "web.example.com"
CONNECT = b"CONNECT web.example.com:443 HTTP/1.1\r\nHost: web.example.com\r\n\r\n"
GET = b"GET http://web.example.com/ HTTP/1.1\r\n"
HOST = b"Host: web.example.com\r\n"


async def echo(stream):
    """Send back what comes."""
    while data := await stream.receive_some(4096):
        await stream.send_all(data)


@pytest.fixture(scope="module")
def authority():
    """Return a certificate authority of the tests' own."""
    return trustme.CA()


@pytest.fixture(scope="module")
def contexts(authority):
    """Return TLS contexts for a server called WEB and for a client that trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(WEB).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def run(*argv):
    """Run a program without any proxy of this machine; return its exit status and output."""
    done = await trio.run_process([*argv], capture_stdout=True, capture_stderr=True, check=False, env={"PATH": "/usr/bin:/bin"})
    return done.returncode, done.stdout + done.stderr


async def test_curl_reaches_an_allowed_host_by_connect_and_plainly(contexts, authority, tmp_path):
    """An ordinary client with an ordinary proxy setting gets both https and http, and each leaves a record."""
    web = WebServer()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    async with serving(web.handle, contexts[0]) as secure, serving(web.handle) as plain:
        dialer = Dialer({WEB: Endpoint("127.0.0.1", secure), "plain.example.com": Endpoint("127.0.0.1", plain)})
        async with opened(rules("*.example.com"), dialer=dialer) as found:
            curl = ("curl", "-sS", "--max-time", "20", "-x", found.url)
            assert await run(*curl, "--cacert", str(bundle), f"https://{WEB}/a?b") == (0, b"hello")
            assert await run(*curl, "http://plain.example.com/c?d=e") == (0, b"hello")
    assert web.heads[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert web.heads[1].startswith(b"GET /c?d=e HTTP/1.1\r\nhost: plain.example.com\r\n")
    assert b"proxy" not in b"".join(web.heads).lower()
    tunnel, request = found.records
    assert (tunnel["verdict"], tunnel["method"], tunnel["host"], tunnel["port"]) == ("allowed", "CONNECT", WEB, 443)
    assert tunnel["rule"] == "*.example.com, agents.coder.egress.allow[0] c.yaml:0"
    assert tunnel["bytes_down"] > 500 < tunnel["bytes_up"]
    assert (request["verdict"], request["method"], request["agent"], request["turn"]) == ("allowed", "GET", "coder", "turn-1")
    assert request["bytes_up"] > 50
    assert "d=e" not in str(found.records)


async def test_curl_is_refused_with_the_rule_and_the_operators_command(tmp_path):
    """What is not allowed is answered by 403 and a sentence; nothing was looked up for it."""
    async with opened(rules("*.example.com:80", deny=("bad.example.com",)), dialer=Dialer(lookup=never)) as found:
        status, said = await run("curl", "-sS", "--max-time", "20", "-x", found.url, "http://other.org/")
        assert status == 0
        assert said.decode() == (
            "Agent coder may not reach other.org:80: agents.coder.egress.allow holds no rule for it."
            " For the operator: hermes-iso egress explain coder other.org:80\n"
        )
        status, said = await run("curl", "-sS", "--max-time", "20", "-x", found.url, "https://bad.example.com/")
        assert (status, b"403" in said) == (56, True)
        answer = await found.talk(b"CONNECT bad.example.com:443 HTTP/1.1\r\nHost: bad.example.com:443\r\n\r\n")
        assert b"agents.coder.egress.deny[0] denies bad.example.com." in answer
        assert b"c.yaml" not in answer
    assert [record["verdict"] for record in found.records] == ["refused"] * 3
    assert found.records[1]["rule"] == "bad.example.com, agents.coder.egress.deny[0] c.yaml:0"
    assert found.door.usage.refused == 3


async def never(name):
    """Stand for a resolver that must not be asked."""
    raise AssertionError(f"{name} was looked up")


async def test_httpx_keeps_its_connection_for_sequential_requests():
    """Several requests of one client go over one connection to the door, bodies and all, each decided by itself."""
    web = WebServer()
    async with (
        serving(web.handle) as port,
        opened(rules("web.example.com:80"), hosts={WEB: port}) as found,
        httpx.AsyncClient(proxy=found.url, trust_env=False, verify=False) as client,
    ):
        assert (await client.get(f"http://{WEB}/1")).text == "hello"
        assert (await client.post(f"http://{WEB}/2", content=b"x" * 300_000)).headers["x-from"] == "host"

        async def parts():
            yield b"in "
            yield b"parts"

        assert (await client.put(f"http://{WEB}/3", content=parts())).status_code == 200
        assert found.door.usage.open == 1
        assert (await client.get("http://other.example.com/")).status_code == 403
        assert found.door.usage.total == 4
    assert web.bodies == [b"", b"x" * 300_000, b"in parts"]
    assert [record["verdict"] for record in found.records] == ["allowed"] * 3 + ["refused"]


async def test_request_goes_on_without_what_is_between_client_and_proxy():
    """Hop-by-hop headers, those that Connection names and the proxy's password stay behind; Host is the target's."""
    web = WebServer()
    async with serving(web.handle) as port, opened(rules("web.example.com:8080"), hosts={WEB: port}) as found:
        answer = await found.talk(
            b"GET http://WEB.example.com.:8080?x=1 HTTP/1.1\r\nHost: web.example.com:8080\r\nX-Kept: 1\r\nX-Mine: 2\r\n"
            b"Connection: close, x-mine, content-length\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: x\r\n"
            b"TE: trailers\r\nKeep-Alive: 5\r\nContent-Length: 2\r\n\r\nhi"
        )
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert web.heads == [
        b"GET /?x=1 HTTP/1.1\r\nhost: web.example.com:8080\r\nconnection: close\r\nx-kept: 1\r\ncontent-length: 2\r\n\r\n"
    ]
    assert web.bodies == [b"hi"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
        b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_answer_is_framed_anew(answer):
    """Whatever frame the host chose, the client gets one that it can read in one way."""
    web = WebServer(answer=answer)
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        got = await found.talk(b"GET http://web.example.com/ HTTP/1.1\r\nHost: web.example.com\r\nConnection: close\r\n\r\n")
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    http.receive_data(got)
    head, data = http.next_event(), http.next_event()
    assert bytes(data.data) == b"hello"
    assert not (b"content-length" in dict(head.headers) and b"transfer-encoding" in dict(head.headers))
    assert b"x-hop" not in dict(head.headers)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"])
async def test_host_that_does_not_answer_in_http_is_a_bad_gateway(answer):
    """The client gets 502 with a sentence, and the record says failed."""
    web = WebServer(answer=answer)
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        got = await found.talk(b"GET http://web.example.com/ HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 502 ")
    assert found.records[0]["verdict"] == "failed"


async def test_answer_that_is_cut_off_is_not_completed():
    """A client can tell: the connection ends before the length that was announced."""
    web = WebServer(answer=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        got = await found.talk(b"GET http://web.example.com/ HTTP/1.1\r\nHost: web.example.com\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert not got.endswith(b"0\r\n\r\n")
    assert found.records[0]["verdict"] == "failed"


SMUGGLED = [
    (b"POST" + GET[3:] + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"has both"),
    (b"POST" + GET[3:] + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", b"one Content-Length"),
    (b"POST" + GET[3:] + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", b"one Content-Length"),
    (b"POST" + GET[3:] + HOST + b"Content-Length: 3, 3\r\n\r\nabc", b"one Content-Length"),
    (b"POST" + GET[3:] + HOST + b"Content-Length: +3\r\n\r\nabc", b"one Content-Length"),
    (b"POST" + GET[3:] + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", b"one `chunked`"),
    (b"POST" + GET[3:] + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"one `chunked`"),
    (b"POST" + GET[3:] + HOST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", b"header is malformed"),
    (b"POST" + GET[3:-10] + b"HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"in HTTP/1.1"),
    (b"POST" + GET[3:] + HOST + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", b"body is malformed"),
    (GET + HOST + b"X-A: 1\r\n folded\r\n\r\n", b"folded"),
    (GET + HOST + b"X-A: 1\n\r\n\r\n", b"lone line break"),
    (GET + HOST + b"X-A: 1\r2\r\n\r\n", b"lone line break"),
    (GET + HOST + b"X-A: a\x00b\r\n\r\n", b"control character"),
    (GET + HOST + b"X A: 1\r\n\r\n", b"header is malformed"),
    (GET + HOST + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n", b"longer than 32768 bytes"),
    (GET + HOST + HOST + b"\r\n", b"malformed"),
    (GET + b"\r\n", b"malformed"),
    (GET + b"Host: other.example.com\r\n\r\n", b"differs from the target"),
    (GET + b"Host: web.example.com:81\r\n\r\n", b"differs from the target"),
    (GET + b"Host: web.example.com, other\r\n\r\n", b"differs from the target"),
    (b"CONNECT web.example.com:443 HTTP/1.1\r\nHost: other.example.com:443\r\n\r\n", b"differs from the target"),
    (b"CONNECT web.example.com HTTP/1.1\r\n" + HOST + b"\r\n", b"no port"),
    (b"CONNECT web.example.com:0 HTTP/1.1\r\n" + HOST + b"\r\n", b"is no port"),
    (b"CONNECT web.example.com:99999 HTTP/1.1\r\n" + HOST + b"\r\n", b"is no port"),
    (b"CONNECT http://web.example.com:80/ HTTP/1.1\r\n" + HOST + b"\r\n", b"malformed"),
    (b"CONNECT user@web.example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n", b"no user"),
    (b"CONNECT web.example.com:443 HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n", b"has no body"),
    (b"GET http://user:pw@web.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", b"no user"),
    (b"GET http://web.example.com\\@other.org/ HTTP/1.1\r\n" + HOST + b"\r\n", b"no user"),
    (b"GET http://web.example.com/#f HTTP/1.1\r\n" + HOST + b"\r\n", b"neither HOST:PORT"),
    (b"GET https://web.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", b"use CONNECT"),
    (b"GET ftp://web.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", b"Only http://"),
    (b"GET web.example.com:80 HTTP/1.1\r\n" + HOST + b"\r\n", b"neither HOST:PORT"),
    (b"GET http:///x HTTP/1.1\r\n" + HOST + b"\r\n", b"no host name"),
    (b"GET http://a..b/ HTTP/1.1\r\n" + HOST + b"\r\n", b"no host name"),
    (b"get http://web.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", b"no HTTP request"),
    (b"GET http://web.example.com/\xff HTTP/1.1\r\n" + HOST + b"\r\n", b"request line is malformed"),
    (b"GET  http://web.example.com/ HTTP/1.1\r\n" + HOST + b"\r\n", b"request line is malformed"),
    (b"GET http://web.example.com/\r\n", b"request line is malformed"),
    (b"GET http://web.example.com/ HTTP/2.0\r\n" + HOST + b"\r\n", b"another version"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"another version"),
    (b"\x16\x03\x01\x02\x00\x01\x00", b"no HTTP request"),
    (b"\r\n\r\n" + GET + HOST + b"\r\n", b"no HTTP request"),
    (GET + HOST + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n", b"upgrade"),
]


@pytest.mark.parametrize(("request_bytes", "why"), SMUGGLED, ids=lambda value: value[:60].decode("latin-1"))
async def test_what_could_be_read_in_two_ways_is_refused(request_bytes, why):
    """400 with a sentence, the connection ends, and no byte reaches a host that is allowed."""
    web = WebServer()
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        with trio.fail_after(5):
            answer = await found.talk(request_bytes)
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert why in answer
    assert web.bodies == []
    assert [record["verdict"] for record in found.records] == ["malformed"]


ADDRESSES = [
    *("127.0.0.1", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001", "0177.0.0.1", "8.8.8.8", "1.1.1.1."),
    *("[::1]", "[::ffff:127.0.0.1]", "[fe80::1%25eth0]", "[2606:4700::1111]", "[::ffff:7f00:1]"),
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_address_in_place_of_a_name_is_refused(address):
    """However it is written, and although every name is allowed: by CONNECT and in a plain request."""
    dialer = Dialer(lookup=never)
    async with opened(rules("*:*"), dialer=dialer) as found:
        for line in (f"CONNECT {address}:443", f"GET http://{address}/"):
            answer = await found.talk(f"{line} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            assert answer.startswith(b"HTTP/1.1 403 "), line
            assert b"is an address" in answer
    assert {record["verdict"] for record in found.records} == {"refused"}


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
async def test_name_that_leads_inside_is_refused(address):
    """An allowed name whose address is no public one is refused, and the guest does not learn which address it is."""

    async def lookup(name):
        return [address]

    async with opened(rules(WEB), dialer=Dialer(lookup=lookup)) as found:
        answer = await found.talk(CONNECT)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"no public address" in answer
    assert address.encode() not in answer
    assert found.records[0]["verdict"] == "refused"


async def test_name_without_address_or_server_is_a_bad_gateway():
    """502 says that it is not the rules: no such host, or nobody listens there."""

    async def lookup(name):
        raise OSError("no such name")

    async with opened(rules("*"), dialer=Dialer({WEB: Endpoint("127.0.0.1", 1)}, lookup)) as found:
        for host in (b"web.example.com", b"none.example.com"):
            answer = await found.talk(b"CONNECT %s:443 HTTP/1.1\r\nHost: %s\r\n\r\n" % (host, host))
            assert answer.startswith(b"HTTP/1.1 502 ")
    assert ["refused" in record["reason"] for record in found.records] == [True, False]
    assert [record["verdict"] for record in found.records] == ["failed"] * 2


async def test_old_client_without_a_host_header_may_tunnel():
    """CONNECT in HTTP/1.0, as Python's own client sends it, opens a tunnel."""
    async with serving(echo) as port, opened(rules(WEB), hosts={WEB: port}) as found, await found.connect() as stream:
        await stream.send_all(b"CONNECT web.example.com:443 HTTP/1.0\r\n\r\n")
        assert (await read_head(stream)).startswith(b"HTTP/1.1 200 ")
        await stream.send_all(b"ping")
        assert await stream.receive_some(10) == b"ping"
        await stream.send_eof()
        assert await read_all(stream) == b""


async def test_bytes_behind_a_connect_are_refused():
    """In the same packet or later, while the host is being connected to: they were never to be sent, and never arrive."""
    arrived, asked = [], trio.Event()

    async def slow(name):
        asked.set()
        await trio.sleep_forever()

    async def swallow(stream):
        arrived.append(await stream.receive_some(100))

    async with serving(swallow) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        answer = await found.talk(CONNECT + b"GET / HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
    async with opened(rules(WEB), dialer=Dialer(lookup=slow, lookup_timeout=60)) as found, await found.connect() as stream:
        await stream.send_all(CONNECT)
        await asked.wait()
        await stream.send_all(b"\x16")
        answer = await read_all(stream)
        assert answer.startswith(b"HTTP/1.1 400 ")
    assert arrived == []


async def test_bytes_that_come_as_the_host_answers_are_refused():
    """There is no moment in which they would slip through, and the connection that was made is closed."""
    ours, theirs = trio.testing.memory_stream_pair()

    asked, sent = trio.Event(), trio.Event()

    async def connect(address, port):
        asked.set()
        with trio.CancelScope(shield=True):
            await sent.wait()
            await trio.testing.wait_all_tasks_blocked()
        return ours

    dialer = Dialer({WEB: Endpoint("127.0.0.1")}, connect=connect)
    async with opened(rules(WEB), dialer=dialer) as found, await found.connect() as stream:
        await stream.send_all(CONNECT)
        await asked.wait()
        await stream.send_all(b"\x16")
        sent.set()
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
    assert await theirs.receive_some(10) == b""


async def test_client_that_leaves_ends_the_search_for_its_host():
    """Nothing goes on for a client that has gone."""
    asked, given_up = trio.Event(), trio.Event()

    async def slow(name):
        asked.set()
        try:
            await trio.sleep_forever()
        finally:
            given_up.set()

    async with opened(rules(WEB), dialer=Dialer(lookup=slow, lookup_timeout=60)) as found:
        async with await found.connect() as stream:
            await stream.send_all(CONNECT)
            await asked.wait()
        with trio.fail_after(5):
            await given_up.wait()


async def test_request_for_the_gateway_itself_goes_to_its_hook():
    """Without a host in its target, or for a virtual name; by default there is nothing."""
    asked = []

    async def local(exchange):
        body = b""
        while part := await exchange.receive():
            body += part
        asked.append((exchange.request.target, body))
        await exchange.start(200, [(b"content-length", b"2")])
        await exchange.send(b"ok")

    async with opened(rules()) as found:
        answer = await found.talk(b"GET /x HTTP/1.1\r\nHost: localhost:3128\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"There is nothing at this address" in answer
    async with opened(rules(), local=local, virtual=frozenset({"model.internal"})) as found:
        async with httpx.AsyncClient(proxy=found.url, trust_env=False, verify=False) as client:
            assert (await client.post("http://model.internal/v1", content=b"hi")).text == "ok"
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            assert (await client.get(f"{found.url}/v2")).text == "ok"
            assert (await client.get(f"{found.url}/v3")).text == "ok"
        assert [record["verdict"] for record in found.records] == ["local"] * 3
        assert (await found.talk(b"CONNECT model.internal:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await found.talk(b"CONNECT model.internal:443 HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 403 ")
    assert asked == [(b"http://model.internal/v1", b"hi"), (b"/v2", b""), (b"/v3", b"")]


async def test_host_may_answer_before_it_has_read_everything():
    """An early answer reaches the client although its body is still on the way, and that connection then ends."""

    async def early(stream):
        await read_head(stream)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")

    async with serving(early) as port, opened(rules(WEB), hosts={WEB: port}) as found, await found.connect() as stream:
        await stream.send_all(b"POST" + GET[3:] + HOST + b"Content-Length: 1000000\r\n\r\nx")
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b"big")


async def test_client_that_expects_to_be_told_to_continue_is_told():
    """`Expect: 100-continue` is answered by the door, and does not go on."""
    web = WebServer()
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found, await found.connect() as stream:
        await stream.send_all(b"POST" + GET[3:] + HOST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await read_head(stream)).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hi")
        assert (await read_head(stream)).startswith(b"HTTP/1.1 200 ")
    assert web.bodies == [b"hi"]
    assert b"expect" not in web.heads[0].lower()


async def test_pipelined_requests_are_answered_in_order():
    """What comes behind a whole request is the next one."""
    web = WebServer()
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        first = b"POST" + GET[3:] + HOST + b"Content-Length: 2\r\n\r\nhi"
        answer = await found.talk(first + GET + HOST + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert web.bodies == [b"hi", b""]


async def test_name_is_looked_up_once_and_its_address_is_pinned():
    """A name that changes its address behind the check changes nothing: what was checked is what is connected to."""
    answers = [["93.184.216.34"], ["10.0.0.1"]]
    connected = []

    async def lookup(name):
        return answers.pop(0)

    async with serving(echo) as port:

        async def connect(address, asked_port):
            connected.append((address, asked_port))
            return await trio.open_tcp_stream("127.0.0.1", port)

        async with opened(rules(WEB), dialer=Dialer(lookup=lookup, connect=connect)) as found:
            async with await found.connect() as stream:
                await stream.send_all(CONNECT)
                assert (await read_head(stream)).startswith(b"HTTP/1.1 200 ")
            assert (await found.talk(CONNECT)).startswith(b"HTTP/1.1 403 ")
    assert connected == [("93.184.216.34", 443)]


@pytest.mark.parametrize("more", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
async def test_host_that_never_comes_to_its_answer_is_given_up(more):
    """Interim answers without end are no answer."""
    web = WebServer(answer=b"HTTP/1.1 100 Continue\r\n\r\n" * 40 + more)
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        assert (await found.talk(GET + HOST + b"\r\n")).startswith(b"HTTP/1.1 502 ")


HEADERS = [
    *(HOST, b"Host: x\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"X: y\r\n"),
    *(b"Connection: close\r\n", b"Connection: content-length, host\r\n", b"Expect: 100-continue\r\n", b"X:\x00\r\n", b"X: y\n"),
]
BODIES = [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"\xff\r\n"]
some_requests = st.builds(
    lambda line, headers, body: b"".join((line, HOST, *headers, b"\r\n", body)),
    st.sampled_from(
        [
            b"GET http://web.example.com HTTP/1.1\r\n",
            b"POST http://web.example.com/x?y HTTP/1.1\r\n",
            b"POST http://web.example.com/z HTTP/1.0\r\n",
            b"CONNECT web.example.com:443 HTTP/1.1\r\n",
            b"GET / HTTP/1.1\r\n",
            b"POST * HTTP/1.1\r\n",
        ]
    ),
    st.lists(st.sampled_from(HEADERS), max_size=2),
    st.sampled_from(BODIES),
)
"""Requests that are right, and some that nearly are."""


ANSWERS = [
    *(b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"),
    *(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 099 What\r\n\r\n", b"HTTP/1.1 100 Go on\r\n\r\n"),
    *(b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n", b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n", *BODIES),
]


@given(
    st.lists(some_requests | st.sampled_from(BODIES), max_size=3),
    st.sampled_from([1, 7, 40, 4096]),
    st.lists(st.sampled_from(ANSWERS), max_size=3).map(b"".join),
)
def test_whatever_is_sent_is_answered_and_reaches_a_host_as_one_request(requests, cut, answer):
    """No sequence of bytes, of guest or host, crashes or hangs a connection, and a host gets one request alone of it."""
    sent = b"".join(requests)
    trio.run(_send_pieces, [sent[start : start + cut] for start in range(0, len(sent), cut)], answer)


async def _send_pieces(parts, host_says):
    hosts = []

    async def connect(address, port):
        ours, theirs = trio.testing.memory_stream_pair()
        hosts.append(theirs)
        await theirs.send_all(host_says)
        await theirs.send_eof()
        return ours

    plain = EgressRules((parse_rule("*.example.com:*", methods=["GET", "POST"]),))
    door = Door("coder", "turn", plain, [].append, Dialer({WEB: Endpoint("127.0.0.1")}, connect=connect))
    client, server = trio.testing.memory_stream_pair()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_connection, server, door)
            for part in parts:
                with suppress(trio.BrokenResourceError):
                    await client.send_all(part)
            await client.send_eof()
            answer = await read_all(client)
    assert re.match(rb"HTTP/1.1 (100|20[04]|304|40[034]|502) |\Z", answer), answer
    for host in hosts:
        http = h11.Connection(h11.SERVER)
        http.receive_data(await read_all(host))
        while type(http.next_event()) in (h11.Request, h11.Data, h11.EndOfMessage):
            pass
        assert http.trailing_data[0] == b""
