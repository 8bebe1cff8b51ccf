"""Secrets through a real door to a real TLS server: where they go, and all the ways in which they do not come back."""

import base64
import json
import ssl
import sys
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing
import trustme

from hermes_iso.broker.egress.rules import EgressRules, parse_rule
from hermes_iso.broker.injection.hosts import InjectedHosts
from hermes_iso.broker.own_hosts import OwnHosts, attach
from hermes_iso.credentials import Secret
from tests.support.doors import opened, rules, serving
from tests.support.hosts import Log

HOST = "api.example.com"
VALUE = "s3cr3t/Value+0123456789="
TOKEN = Secret("TOKEN", HOST, 443, "authorization", "Bearer {}", VALUE)
KEY = Secret("KEY", HOST, 443, "x-api-key", "{}", "another-0123456789")
GIT = Secret("TOKEN2", HOST, 443, "authorization", "Basic bot:{}", VALUE)
BEARER = {"authorization": f"Bearer {TOKEN.placeholder}"}


class Api:
    """A server that remembers what it was sent, and answers as the test says."""

    def __init__(self):
        self.heads, self.bodies = [], []
        self.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
        self.pieces = ()

    async def handle(self, stream):
        data = b""
        while b"\r\n\r\n" not in data:
            more = await stream.receive_some(1 << 16)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            body += await stream.receive_some(1 << 16)
        self.heads.append(head.decode())
        self.bodies.append(body)
        await stream.send_all(self.answer)
        for piece in self.pieces:
            await trio.testing.wait_all_tasks_blocked(0.002)
            await stream.send_all(b"%x\r\n%s\r\n" % (len(piece), piece))
        if self.pieces:
            await stream.send_all(b"0\r\n\r\n")

    def streams(self, *pieces):
        self.answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        self.pieces = pieces


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def reach(authority, trust, api, log):
    """Serve a door to the test's API, for an agent with these secrets and rules."""

    @asynccontextmanager
    async def open_reach(*secrets, allowed=None, name=HOST, resolved=HOST, trusted=trust):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(name).configure_cert(context)
        async with serving(api.handle, context) as port, opened(allowed or EgressRules(), hosts={resolved: port}) as door:
            attach(door.door, OwnHosts(None, InjectedHosts(secrets or (TOKEN,), door=door.door, tls=trusted, log=log)))
            async with httpx.AsyncClient(proxy=door.url, trust_env=False, timeout=20) as client:
                yield door, client

    return open_reach


def headers_of(head):
    """Return a request's headers, names in lower case."""
    lines = [line.split(": ", 1) for line in head.splitlines()[1:]]
    return {name.lower(): value for name, value in lines}


async def test_the_placeholder_is_swapped_in_its_header_and_goes_out_over_tls(reach, api, log):
    """The host sees the value; the sandbox never had it; nobody writes it down."""
    async with reach() as (door, client):
        answer = await client.post(f"http://{HOST}/v1/x?q=1", headers=BEARER, content=b"body")
        await trio.testing.wait_all_tasks_blocked(0.05)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert api.heads[0].startswith("POST /v1/x?q=1 HTTP/1.1")
    sent = headers_of(api.heads[0])
    assert (sent["authorization"], sent["host"], api.bodies[0]) == (f"Bearer {VALUE}", HOST, b"body")
    assert log.last == {"host": HOST, "port": 443, "method": "POST", "secrets": ["TOKEN"], "end": "ended"}
    assert VALUE not in json.dumps([log.entries, door.records]) + repr((TOKEN, door.door))


async def test_curl_and_git_ways_work(reach, api):
    """A plain curl, and a placeholder in Basic credentials, which the gateway writes by its own format."""
    async with reach(GIT) as (door, _):
        words = ["curl", "-sS", "-x", door.url, "-u", f"anybody:{GIT.placeholder}", f"http://{HOST}/repo.git/info/refs"]
        done = await trio.run_process(words, capture_stdout=True)
    assert done.stdout == b"ok"
    assert headers_of(api.heads[0])["authorization"] == "Basic " + base64.b64encode(f"bot:{VALUE}".encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"x-other": TOKEN.placeholder},
        {"authorization": f"Bearer {TOKEN.placeholder}_MORE"},
        {"cookie": TOKEN.placeholder},
        {"x-api-key": TOKEN.placeholder},
        {},
    ],
)
async def test_the_value_goes_into_no_other_place(reach, api, headers):
    """Not into another header, the address or the body, and not for a longer name."""
    async with reach(TOKEN, KEY) as (_, client):
        await client.post(f"http://{HOST}/{TOKEN.placeholder}", headers=headers, content=TOKEN.placeholder)
    assert VALUE not in api.heads[0]
    assert api.bodies[0] == TOKEN.placeholder.encode()
    assert f"POST /{TOKEN.placeholder}" in api.heads[0]


async def test_nothing_of_the_guest_stands_beside_the_value(reach, api):
    """The whole header is the operator's."""
    async with reach(TOKEN, KEY) as (_, client):
        await client.get(
            f"http://{HOST}/", headers={"authorization": f"Digest a={TOKEN.placeholder}, b=1", "x-api-key": KEY.placeholder}
        )
    sent = headers_of(api.heads[0])
    assert (sent["authorization"], sent["x-api-key"]) == (f"Bearer {VALUE}", "another-0123456789")


async def test_a_tunnel_to_the_host_is_told_what_to_do(reach, api):
    """What is inside TLS can't be written: the sentence names http://."""
    async with reach() as (door, _):
        answer = await door.talk(f"CONNECT {HOST}:443 HTTP/1.1\r\nhost: {HOST}:443\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403")
    assert f"The gateway itself speaks to {HOST}, and takes plain HTTP for it: use http://{HOST}/.".encode() in answer
    assert api.heads == []


async def test_an_allowed_tunnel_carries_the_placeholder_alone(reach, api, trust):
    """`egress.allow` opens the host itself: then nothing is put in."""
    async with reach(allowed=rules(f"{HOST}:443")) as (door, _):
        client = httpx.AsyncClient(proxy=door.url, verify=trust, trust_env=False)
        async with client:
            assert (await client.get(f"https://{HOST}/", headers=BEARER)).text == "ok"
    assert headers_of(api.heads[0])["authorization"] == BEARER["authorization"]


LEAKS = {
    "plain": VALUE.encode(),
    "bearer": f"Bearer {VALUE}".encode(),
    "quoted": b"s3cr3t%2FValue%2B0123456789%3D",
    "base64": base64.b64encode(b"xx" + VALUE.encode()),
    "hex": VALUE.encode().hex().encode(),
    "json": VALUE.replace("/", "\\/").encode(),
}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
async def test_an_answer_that_carries_the_value_back_is_cut(reach, api, log, leak):
    """Wherever its pieces end, and however a program spells it: what came before it arrives, and no more."""
    api.streams(b"before ", leak[:5], leak[5:6], leak[6:] + b" after")
    async with reach() as (door, _):
        request = f"GET http://{HOST}/ HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {TOKEN.placeholder}\r\n\r\n"
        answer = await door.talk(request.encode())
    assert b"before " in answer
    assert b"after" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert leak not in answer.replace(b"\r\n", b"")
    assert log.last["end"] == "leak"


async def test_an_answer_with_the_value_in_a_header_does_not_begin(reach, api, log):
    """A redirect or a cookie that holds it is 403 with a sentence."""
    api.answer = f"HTTP/1.1 302 Found\r\nlocation: https://evil.example/?t={VALUE}\r\ncontent-length: 0\r\n\r\n".encode()
    async with reach() as (_, client):
        answer = await client.get(f"http://{HOST}/", headers=BEARER)
    assert answer.status_code == 403
    assert VALUE not in answer.text + str(answer.headers)
    assert log.last["end"] == "leak"


async def test_a_redirect_is_the_clients_affair(reach, api):
    """The gateway follows none, so that no value goes elsewhere."""
    api.answer = b"HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n"
    async with reach() as (_, client):
        answer = await client.get(f"http://{HOST}/", headers=BEARER)
    assert (answer.status_code, answer.headers["location"], len(api.heads)) == (302, "https://evil.example/", 1)


async def test_a_compressed_answer_is_not_passed_on(reach, api):
    """It was not asked for, and can't be looked into."""
    api.answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nxx"
    async with reach() as (_, client):
        answer = await client.get(f"http://{HOST}/", headers=BEARER | {"accept-encoding": "gzip"})
    assert headers_of(api.heads[0])["accept-encoding"] == "identity"
    assert (answer.status_code, "compressed" in answer.text) == (502, True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/issues", 200),
        ("POST", "/v1/issues", 403),
        ("GET", "/admin", 403),
        ("GET", "/v1/..%2fadmin", 403),
        ("GET", "/v1/deny", 403),
    ],
)
async def test_rules_about_the_host_hold(reach, api, method, path, status):
    """Methods and paths of egress count for what gets a credential, deny before allow."""
    allow = parse_rule(f"{HOST}:443", methods=["GET"], paths=["/v1/*"], key="agents.coder.egress.allow[0]")
    deny = parse_rule(HOST, deny=True, paths=["/v1/deny"], key="agents.coder.egress.deny[0]")
    async with reach(allowed=EgressRules((allow,), (deny,))) as (_, client):
        answer = await client.request(method, f"http://{HOST}{path}", headers=BEARER)
    assert answer.status_code == status
    assert len(api.heads) == (status == 200)


async def test_other_rules_swapped_in_cut_an_answer(reach, api):
    """What is no longer permitted ends with its next piece."""
    api.streams(*[b"x" * 10] * 50)
    async with reach() as (door, _), await door.connect() as stream:
        await stream.send_all(f"GET http://{HOST}/ HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
        await stream.receive_some(1)
        door.door.swap(rules(deny=(HOST,)))
        data = b""
        while more := await stream.receive_some(1 << 16):
            data += more
    assert not data.endswith(b"0\r\n\r\n")


async def test_only_the_certificate_of_the_host_is_trusted(reach, api):
    """Another name's, and another authority's, end in a sentence before anything was sent."""
    async with reach(name="other.example.com") as (_, client):
        wrong_name = await client.get(f"http://{HOST}/", headers=BEARER)
    async with reach(trusted=ssl.create_default_context()) as (_, client):
        wrong_authority = await client.get(f"http://{HOST}/", headers=BEARER)
    assert [answer.status_code for answer in (wrong_name, wrong_authority)] == [502, 502]
    assert wrong_name.text == f"{HOST} can't be trusted: its TLS certificate is not accepted.\n"
    assert api.heads == []


async def test_no_value_goes_to_a_server_without_tls(trust, log):
    """What speaks plain HTTP gets the beginning of a TLS handshake and nothing else."""
    heard = b""

    async def speak(stream):
        nonlocal heard
        heard += await stream.receive_some(1 << 16)
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(speak) as port, opened(EgressRules(), hosts={HOST: port}) as door:
        attach(door.door, OwnHosts(None, InjectedHosts((TOKEN,), door=door.door, tls=trust, log=log)))
        async with httpx.AsyncClient(proxy=door.url, trust_env=False) as client:
            answer = await client.get(f"http://{HOST}/", headers=BEARER)
    assert (answer.status_code, answer.text) == (502, f"{HOST} does not speak TLS, or broke off.\n")
    assert heard[:1] == b"\x16"
    assert VALUE.encode() not in heard


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (f"http://{HOST}:443/", 200),
        (f"http://{HOST}:8080/", 403),
        ("http://www.example.com/", 403),
        (f"http://x.{HOST}/", 403),
        (f"http://{HOST.upper()}./", 200),
    ],
)
async def test_a_secret_opens_its_host_and_no_other(reach, url, status):
    """In its one spelling, on its port or the plain one."""
    async with reach() as (_, client):
        assert (await client.get(url, headers=BEARER)).status_code == status


async def test_a_private_address_is_refused_as_for_every_host(trust, log):
    """A name that leads to this machine gets nothing, unless the operator's map says so."""

    async def lookup(name):
        return ["127.0.0.1"]

    async with opened(EgressRules()) as door:
        object.__setattr__(door.door.dialer, "lookup", lookup)
        attach(door.door, OwnHosts(None, InjectedHosts((TOKEN,), door=door.door, tls=trust, log=log)))
        async with httpx.AsyncClient(proxy=door.url, trust_env=False) as client:
            assert (await client.get(f"http://{HOST}/", headers=BEARER)).status_code == 403


async def test_a_command_tells_the_value_once(reach, api, tmp_path):
    """It is run when a request first needs it, and never for a second."""
    counted = tmp_path / "runs"
    script = f"import sys; open({str(counted)!r}, 'a').write('x'); print({VALUE!r})"
    told = Secret("TOKEN", HOST, 443, "authorization", "Bearer {}", command=(sys.executable, "-c", script))
    async with reach(told) as (_, client):
        assert not counted.exists()
        for _ in range(2):
            await client.get(f"http://{HOST}/", headers=BEARER)
    assert [headers_of(head)["authorization"] for head in api.heads] == [f"Bearer {VALUE}"] * 2
    assert counted.read_text() == "x"


@pytest.mark.parametrize(
    "code", ["print('short')", "print('half of it is secret\\nand more'); sys.exit()", "sys.exit('secret-in-stderr')"]
)
async def test_a_command_that_fails_tells_the_guest_nothing(reach, api, code, capsys):
    """The guest gets a sentence, the log a reason, and neither holds what the command said."""
    told = Secret("TOKEN", HOST, 443, "authorization", "Bearer {}", command=(sys.executable, "-c", f"import sys; {code}"))
    async with reach(told) as (_, client):
        answer = await client.get(f"http://{HOST}/", headers=BEARER)
    assert answer.status_code == 502
    assert answer.text == "The gateway can't get the value of TOKEN now: its operator finds why in the log.\n"
    written = capsys.readouterr()
    assert "secret_not_told" in written.out + written.err
    assert not any(word in written.out + written.err for word in ("short", "half of it", "secret-in-stderr"))
    assert api.heads == []


async def test_a_host_that_is_silent_is_given_up(trust, authority, log):
    """After as long as any other host may be."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)

    async def say_nothing(stream):
        while await stream.receive_some(1 << 16):
            pass

    async with serving(say_nothing, context) as port, opened(EgressRules(), hosts={HOST: port}, idle_timeout=0.2) as door:
        attach(door.door, OwnHosts(None, InjectedHosts((TOKEN,), door=door.door, tls=trust, log=log)))
        async with httpx.AsyncClient(proxy=door.url, trust_env=False) as client:
            answer = await client.get(f"http://{HOST}/", headers=BEARER)
    assert (answer.status_code, answer.text) == (502, "The host said nothing for 0.2 seconds.\n")


async def test_without_a_model_host_there_is_none(reach):
    """404 with a sentence that says how to open one."""
    async with reach() as (_, client):
        answer = await client.get("http://model.local/v1/models")
    assert (answer.status_code, "agents.<id>.models" in answer.text) == (404, True)
