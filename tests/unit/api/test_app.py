"""The order of refusals, and the shape of each."""

from pathlib import Path
from typing import Any

import pytest
import trio

from hermes_iso.api.app import build_app
from hermes_iso.api.body import BODY_LIMIT, BODY_TIMEOUT, read_body
from hermes_iso.api.errors import TURN_STATUS, ApiError, ClientGoneError
from hermes_iso.api.server import serve_api
from hermes_iso.config.schema import ApiSettings
from hermes_iso.errors import UsageError
from hermes_iso.listening import bind
from hermes_iso.strict_json import VALUE_LIMIT
from tests.support.http import send_raw, serving
from tests.support.line import CODER_KEY, KEY, make_config

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("path", ["/v1/models", CHAT, "/health/detailed", "/no/such", "/p/ghost/v1/models", "/v1/responses"])
@pytest.mark.parametrize("value", [None, "Bearer wrong-key-0123456789", f"Basic {KEY}", KEY, "Bearer", "Bearer \xe9"])
async def test_without_a_key_everything_is_401(tmp_path: Path, path: str, value: str | None) -> None:
    """Before anything else about the request, also for paths and agents that don't exist."""
    async with serving(tmp_path / "home") as served:
        headers = {} if value is None else {"authorization": value.encode("latin-1")}
        served.client.headers.pop("authorization")
        response = await served.client.post(path, content=b"not json", headers=headers)
        assert (response.status_code, response.json()["error"]["type"]) == (401, "authentication_error")
        assert response.headers["www-authenticate"] == "Bearer"


async def test_health_needs_no_key(tmp_path: Path) -> None:
    """/health and /v1/health are open, the details are not; counts are for a key that opens everything."""
    async with serving(tmp_path / "home") as served:
        detailed = (await served.client.get("/health/detailed")).json()
        assert (detailed["status"], detailed["agents"], detailed["turns"]) == ("ok", ["main", "coder"], 0)
        assert detailed["pool"]["sandboxes"] == 1
        bound = await served.client.get("/health/detailed", headers={"authorization": f"Bearer {CODER_KEY}"})
        assert bound.json() == {"status": "ok", "agents": ["coder"]}
        served.client.headers.pop("authorization")
        for path in ("/health", "/v1/health", "/p/main/health"):
            assert (await served.client.get(path)).json() == {"status": "ok"}


async def test_bound_key_opens_its_agents_alone(tmp_path: Path) -> None:
    """403 for any other agent, whether it exists or not; 404 only for a key that opens all."""
    async with serving(tmp_path / "home") as served:
        bound = {"authorization": f"Bearer {CODER_KEY}"}
        for agent in ("main", "ghost"):
            refused = await served.chat(path=f"/p/{agent}{CHAT}", headers=bound)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "agent_not_allowed")
        models = (await served.client.get("/v1/models", headers=bound)).json()
        assert [model["id"] for model in models["data"]] == ["coder"]
        unknown = await served.chat(path=f"/p/ghost{CHAT}")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "agent_not_found")
        assert (await served.client.get("/p/coder/v1/models")).json()["data"][0]["id"] == "coder"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:9", 200),
        ("[::1]:80", 200),
        ("Gateway.Example", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("127.0.0.1:x", 403),
        ("10.0.0.1", 403),
    ],
)
async def test_foreign_host_is_403_before_the_key(tmp_path: Path, host: str, status: int) -> None:
    """A name that is not ours is refused, so that no web page can reach the API by rebinding one."""
    async with serving(tmp_path / "home", hosts=frozenset({"gateway.example"})) as served:
        response = await served.client.get("/health", headers={"host": host})
        assert response.status_code == status
        if status == 403:
            refused = await served.client.get("/v1/models", headers={"host": host, "authorization": "Bearer wrong"})
            assert refused.json()["error"]["code"] == "host_not_allowed"


async def test_origin_must_be_configured(tmp_path: Path) -> None:
    """A browser's page is refused unless its origin is allowed; then it may ask first and read the answer."""
    async with serving(tmp_path / "home", origins=frozenset({"https://ui.example"})) as served:
        refused = await served.client.get("/v1/models", headers={"origin": "https://evil.example"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_not_allowed")
        good = {"origin": "https://ui.example"}
        assert (await served.client.get("/v1/models", headers=good)).headers["access-control-allow-origin"] == good["origin"]
        served.client.headers.pop("authorization")
        asked = await served.client.options(CHAT, headers={**good, "access-control-request-method": "POST"})
        assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, "GET, POST")
        unauthorized = await served.client.get("/v1/models", headers=good)
        assert (unauthorized.status_code, unauthorized.headers["vary"]) == (401, "Origin")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/p/main/nothing", 404),
        ("GET", CHAT, 405),
        ("DELETE", "/v1/models", 405),
    ],
)
async def test_paths_that_are_not_there(tmp_path: Path, method: str, path: str, status: int) -> None:
    """404 and 405 have a sentence in OpenAI's shape."""
    async with serving(tmp_path / "home") as served:
        response = await served.client.request(method, path)
        assert response.status_code == status
        assert path in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user", "content": "x"}] * 2001}, "messages"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}] * 129}]}, "messages[0].tool_calls"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "system", "content": 1}, {"role": "user", "content": "x"}]}, "messages[0].content"),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "robot"}, {"role": "user", "content": "x"}]},
            "messages[1].role",
        ),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]}, "messages[1].role"),
        ({"messages": [{"role": "system", "content": "s"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "x" * 300_000}]}, "messages[0].content"),
        ({"model": 1}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ],
)
async def test_bad_field_is_400_with_its_name(tmp_path: Path, body: dict[str, Any], param: str) -> None:
    """Every field error names the field, and nothing has run."""
    async with serving(tmp_path / "home") as served:
        response = await served.chat(**body)
        error = response.json()["error"]
        assert (response.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")
        assert served.pool.most_living == 0


async def test_sampling_fields_are_taken_and_ignored(tmp_path: Path) -> None:
    """What ordinary clients send besides is no error, null neither."""
    async with serving(tmp_path / "home") as served:
        more = {"temperature": 0.5, "top_p": 1, "max_tokens": None, "n": 1, "stop": ["x"], "user": "u", "logit_bias": {}}
        assert (await served.chat(**more)).status_code == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1 column 1"),
        (b'{\n "a": }', "line 2 column 7"),
        (b"[1]", "object"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": "\xff"}', "UTF-8 at byte 7"),
        (b'{"a": ' + b"[" * 100_000, "nested"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "64 bits"),
        (b'{"a": [' + b"[]," * (VALUE_LIMIT + 1) + b"[]]}", "values"),
    ],
)
async def test_malformed_json_is_400_with_the_position(tmp_path: Path, content: bytes, words: str) -> None:
    """A body that is no JSON object says where."""
    async with serving(tmp_path / "home") as served:
        response = await served.client.post(CHAT, content=content, headers={"content-type": "application/json"})
        assert response.status_code == 400
        assert words in response.json()["error"]["message"]


async def test_content_type_must_be_json(tmp_path: Path) -> None:
    """415 for anything else, a form that a web page may post too."""
    async with serving(tmp_path / "home") as served:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
            response = await served.client.post(CHAT, content=b"{}", headers={"content-type": content_type})
            assert response.status_code == 415
        typed = {"content-type": "Application/JSON; charset=utf-8"}
        assert (await served.client.post(CHAT, content=b"{}", headers=typed)).status_code == 400


@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")  # httpx leaves its body
@pytest.mark.parametrize("chunked", [False, True])
async def test_body_over_the_limit_is_413_and_the_client_hears_it(tmp_path: Path, chunked: bool) -> None:
    """Told by length or only found while reading: 100 MB are refused with a sentence, and the server goes on."""

    async def pieces() -> Any:
        for _ in range(100):
            yield b" " * 1_000_000

    async with serving(tmp_path / "home") as served:
        headers = {"content-type": "application/json"}
        if not chunked:
            headers["content-length"] = str(100_000_000)
        response = await served.client.post(CHAT, content=pieces(), headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (413, "request_too_large")
        assert str(BODY_LIMIT) in response.json()["error"]["message"]
        assert (await served.chat()).status_code == 200


async def test_body_that_does_not_arrive_is_408(autojump_clock: object) -> None:
    """A client that stops in the middle of its body is refused after a while."""

    async def receive() -> dict[str, Any]:
        await trio.sleep(1)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(ApiError) as caught:
        await read_body(receive, [(b"content-type", b"application/json")])
    assert (caught.value.status, caught.value.code) == (408, "request_timeout")
    assert trio.current_time() >= BODY_TIMEOUT


async def test_client_that_leaves_in_its_body_is_not_answered() -> None:
    """Half a body and a hang-up is nobody to answer."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGoneError):
        await read_body(receive, [(b"content-type", b"application/json")])


@pytest.mark.parametrize("name", ["X-Hermes-Session-Id", "X-Hermes-Session-Key", "X-Hermes-Chat-Id", "X-Hermes-User-Id"])
@pytest.mark.parametrize("value", ["x" * 257, "a\x85b", "a\u202eb"])
async def test_bad_hermes_header_is_400(tmp_path: Path, name: str, value: str) -> None:
    """Too long, or with control characters: the header is named."""
    async with serving(tmp_path / "home") as served:
        response = await served.chat(headers={name: value.encode()})
        assert (response.status_code, response.json()["error"]["param"]) == (400, name)


async def test_draining_gateway_is_503_with_a_time(tmp_path: Path) -> None:
    """No new turn is taken, health says so, and clients may come back."""
    async with serving(tmp_path / "home") as served:
        await served.gateway.drain()
        for stream in (False, True):
            response = await served.chat(stream=stream)
            assert (response.status_code, response.json()["error"]["code"]) == (503, "draining")
            assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("5", "true")
        assert (await served.client.get("/health")).status_code == 503


async def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """A taken port and a host that is none are usage errors that name them."""
    config = make_config(tmp_path / "home")
    assert config.api is not None
    with bind("127.0.0.1", 0) as taken:
        settings = ApiSettings(port=taken.getsockname()[1], keys=config.api.keys)
        async with trio.open_nursery() as nursery:
            with pytest.raises(UsageError, match=str(settings.port)):
                await nursery.start(serve_api, None, settings)
    with pytest.raises(UsageError, match="no such host"):
        bind("no such host", 0)


async def test_websocket_and_garbage_touch_nobody_else(tmp_path: Path) -> None:
    """An upgrade is refused, bytes that are no HTTP end their own connection, and the API goes on."""
    async with serving(tmp_path / "home") as served:
        upgrade = (
            b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"403" in (await send_raw(served.url, upgrade)).split(b"\r\n")[0]
        assert b"400" in (await send_raw(served.url, b"\x00\x01garbage\r\n\r\n")).split(b"\r\n")[0]
        assert (await served.chat()).status_code == 200


def test_every_kind_of_failure_has_a_status_that_is_no_success() -> None:
    """The table is whole and sane."""
    assert all(400 <= status <= 504 for status in TURN_STATUS.values())
    assert {"timeout", "busy", "auth", "guest_died", "draining"} <= TURN_STATUS.keys()


async def test_openapi_document_names_every_path(tmp_path: Path) -> None:
    """What is served is in the document, with and without its agent, and nothing else is."""
    async with serving(tmp_path / "home") as served:
        document = (await served.client.get("/openapi.json")).json()
    inner = build_app(served.gateway)._inner
    routes = {(route.path, method.lower()) for route in inner.routes for method in route.methods or () if method != "HEAD"}
    assert {(path, method) for path, item in document["paths"].items() for method in item if method != "parameters"} == routes
