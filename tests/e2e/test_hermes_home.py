"""A home written by hand in Hermes' layout: two profiles behind one API, answered by an OpenAI-compatible server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.gateways import CLIENT_KEY, PATHS, ROOT, Running, running_gateway, write_hermes_home


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """Run the test model server as a program; give its URL."""
    argv = [sys.executable, "-m", "tests.servers.model_server", "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": PATHS, "PATH": os.defpath})
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    """Write the home, below a directory that only its owner may enter."""
    top = tmp_path_factory.mktemp("operator")
    top.chmod(0o700)
    return write_hermes_home(top / ".hermes", f"{model}/v1", more="agents: {main: {sandbox: {turn_timeout: 8}}}\n")


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[Running]:
    """Serve it."""
    with running_gateway("--home", str(home)) as running:
        yield running


def asked(model: str) -> list[dict]:
    """Return what the model server was asked so far."""
    requests = httpx.get(f"{model}/requests").json()["requests"]
    assert isinstance(requests, list)
    return requests


def test_every_profile_is_served(gateway: Running) -> None:
    """multiplex_profiles serves the root and both profiles."""
    assert " agents=main,alice,bob" in gateway.ready


def test_model_gets_the_profiles_key_model_and_prompt(gateway: Running, model: str) -> None:
    """Key, model name, persona, memory and tools of the right agent reach the provider, decided by the gateway."""
    assert gateway.answer("hello", agent="bob") == "echo: hello"
    request = asked(model)[-1]
    system = request["body"]["messages"][0]["content"]
    assert request["headers"]["authorization"] == "Bearer key-of-bob"
    assert request["body"]["model"] == "model-of-bob"
    assert "persona of bob" in system
    assert "memory of bob" in system
    assert "alice" not in json.dumps(request["body"])
    names = {tool["function"]["name"] for tool in request["body"]["tools"]}
    assert {
        "terminal",
        "process",
        "read_file",
        "write_file",
        "patch",
        "search_files",
        "execute_code",
        "memory",
        "todo",
    } <= names


def test_no_key_of_a_provider_is_inside(gateway: Running) -> None:
    """Neither the model's key nor a provider's variable of .env is in a turn; the agent's own secret is."""
    command = json.dumps({"command": "env; cat /hermes/.env /hermes/config.yaml; cat /proc/*/environ | tr '\\0' '\\n'"})
    text = gateway.answer(f"CALL terminal {command}", agent="alice")
    assert "password-of-alice" in text
    for secret in ("key-of-alice", "key-of-main", "provider-key", "password-of-bob", "canary-op"):
        assert secret not in text


def test_tools_write_into_the_own_profile_alone(gateway: Running, home: Path) -> None:
    """write_file and memory of concurrent turns land in the right home."""

    def turn(number: int) -> str:
        agent = ("alice", "bob")[number % 2]
        call = json.dumps({"path": f"made-{number}.txt", "content": f"by {agent}"})
        return gateway.answer(f"CALL write_file {call}", agent=agent)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(turn, range(12)))
    for number in range(12):
        agent, other = ("alice", "bob") if number % 2 == 0 else ("bob", "alice")
        assert (home / "profiles" / agent / "workspace" / f"made-{number}.txt").read_text() == f"by {agent}"
        assert not (home / "profiles" / other / "workspace" / f"made-{number}.txt").exists()


def test_files_and_owners_of_the_home_are_kept(gateway: Running, home: Path) -> None:
    """After turns every file of the operator is as it was, and everything still has the home's owner."""
    gateway.answer("hello", agent="alice")
    profile = home / "profiles" / "alice"
    assert (profile / "SOUL.md").read_text() == "You are the persona of alice.\n"
    assert (profile / ".env").read_text().startswith("CRM_PASSWORD=password-of-alice\n")
    assert {path.lstat().st_uid for path in home.rglob("*")} == {home.stat().st_uid}


def test_key_bound_to_an_agent_reaches_that_agent_alone(gateway: Running) -> None:
    """A bound key answers as its agent; another agent's path is 403, an unknown one 404; nobody else is listed."""
    assert gateway.ask("hello", key=CLIENT_KEY).headers["x-hermes-agent"] == "alice"
    assert gateway.ask("hello", key=CLIENT_KEY, agent="bob").status_code == 403
    assert gateway.ask("hello", key=CLIENT_KEY, agent="nobody").status_code in {403, 404}
    with gateway.client(CLIENT_KEY) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["alice"]


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("DOWN", 502, None),
        ("CUT", 502, None),
        ("BADJSON", 502, None),
        ("BADTOOL", 502, None),
        ("STATUS 500", 502, None),
        ("STATUS 401", 502, None),
        ("LEAKKEY", 502, None),
        ("REDIRECT", 503, None),
        ("STATUS 429", 429, None),
        ("SLOW 60", 504, None),
        ("HANG", 504, None),
    ],
)
def test_broken_model_server_is_one_clear_error(gateway: Running, text: str, status: int, code: str | None) -> None:
    """Whatever the provider does, the client gets the right status and one sentence, and the next turn works."""
    response = gateway.ask(text)
    error = response.json()["error"]
    assert response.status_code == status, response.text
    assert error["message"]
    assert set(error) == {"message", "type", "code", "param"}
    assert "key-of-main" not in response.text
    assert "Traceback" not in response.text
    assert gateway.answer("hello") == "echo: hello"


def test_unknown_tool_arguments_go_back_to_the_model(gateway: Running) -> None:
    """Arguments that are no JSON do not end the turn without a word."""
    assert gateway.ask("BADARGS terminal").status_code in {200, 502}


BODY = '{"model": "x", "messages": [{"role": "user", "content": "hello"}]}'


@pytest.mark.parametrize(
    ("path", "headers", "content", "status", "code"),
    [
        ("/v1/chat/completions", {"Authorization": ""}, BODY, 401, None),
        ("/v1/chat/completions", {"Authorization": "Bearer x"}, "not json", 401, None),
        ("/p/nobody/v1/chat/completions", {}, BODY, 404, None),
        ("/v1/chat/completions", {}, "{", 400, None),
        ("/v1/chat/completions", {}, "[]", 400, None),
        ("/v1/chat/completions", {}, '{"messages": "x"}', 400, None),
        ("/v1/chat/completions", {"Content-Type": "text/plain"}, BODY, 415, None),
        ("/v1/chat/completions", {"Host": "evil.example"}, BODY, 403, None),
        ("/v1/chat/completions", {"Origin": "http://evil.example"}, BODY, 403, None),
        ("/v1/chat/completions", {"X-Hermes-Session-Id": "x" * 257}, BODY, 400, None),
        ("/v1/chat/completions", {"X-Hermes-Session-Id": "a\x01b"}, BODY, 400, None),
        ("/v1/responses", {}, BODY, 400, None),
        ("/nothing/here", {}, BODY, 404, None),
    ],
)
def test_bad_request_has_its_status_and_openais_shape(
    gateway: Running, path: str, headers: dict[str, str], content: str, status: int, code: str | None
) -> None:
    """Each wrong request is told apart, in the error shape of the API."""
    with gateway.client() as client:
        response = client.post(path, content=content, headers={"Content-Type": "application/json", **headers})
    assert response.status_code == status, response.text
    assert set(response.json()["error"]) == {"message", "type", "code", "param"}


@pytest.mark.parametrize("chunked", [False, True])
def test_huge_body_is_refused_without_being_taken_in(gateway: Running, chunked: bool) -> None:
    """100 MB are refused with 413, and the gateway's memory does not grow by them."""

    def peak() -> int:
        status = Path(f"/proc/{gateway.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * (1 << 20)

    before = peak()
    headers = {"Content-Type": "application/json"} | ({} if chunked else {"Content-Length": str(100 << 20)})
    with gateway.client() as client:
        response = client.post("/v1/chat/completions", content=pieces(), headers=headers)
    assert response.status_code == 413
    assert peak() - before < 40_000
    assert gateway.answer("hello") == "echo: hello"


def test_health_needs_no_key(gateway: Running) -> None:
    """A probe can ask without a key, and learns nothing about agents."""
    for path in ("/health", "/v1/health"):
        response = httpx.get(gateway.url + path)
        assert response.status_code == 200
        assert "alice" not in response.text


def test_curl_gets_an_answer(gateway: Running) -> None:
    """The real curl, as in the README."""
    argv = ["curl", "-sS", f"{gateway.url}/v1/chat/completions", "-H", f"Authorization: Bearer {gateway.key}"]
    argv += ["-H", "Content-Type: application/json", "-d", BODY]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "echo: hello"
