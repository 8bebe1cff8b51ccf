"""Turns of the real hermes-agent over HTTP: each in its agent's sandbox, with its own home, model, tools and conversation."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.gateways import Running, running_gateway, write_hermes_home
from tests.support.hermes import engine_keys, said
from tests.support.hermes_package import needs_hermes
from tests.support.model_program import model_program

pytestmark = needs_hermes
AGENTS = ("alice", "bob", "carol", "dave")
PLUGIN = """
import json
import os

STATE = []

def register(ctx):
    def keep(args, **_):
        STATE.append(args["word"])
        os.environ["PLUGIN_WORD"] = args["word"]
        return json.dumps({"words": STATE, "home": os.environ["HERMES_HOME"], "crm": os.environ.get("CRM_PASSWORD")})

    ctx.register_tool(
        name="keep_word",
        toolset="keeper",
        schema={
            "name": "keep_word",
            "description": "keep a word",
            "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
        },
        handler=keep,
    )
"""


SERVER = """
import json, os, sys

for line in sys.stdin:
    asked = json.loads(line)
    found = {
        "initialize": {
            "protocolVersion": "2025-03-26",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "x", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "whose", "description": "x", "inputSchema": {"type": "object", "properties": {}}}]},
        "tools/call": {"content": [{"type": "text", "text": " ".join(str(os.environ.get(n)) for n in ("CRM", "API_TOKEN"))}]},
    }
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": found.get(asked["method"], {})}), flush=True)
"""
SERVERS = """mcp_servers:
  crm: {command: python3, args: [/workspace/server.py], env: {CRM: "${CRM_PASSWORD}", API_TOKEN: a-secret-of-the-config}}
"""


@pytest.fixture(scope="module")
def model() -> Iterator[str]:
    """Run the test model server; give its URL."""
    with model_program() as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, model: str) -> Path:
    """Write a home with four profiles whose engine is hermes-agent, and one of the native engine."""
    where = tmp_path_factory.mktemp("operator") / ".hermes"
    write_hermes_home(where, f"{model}/v1", more=engine_keys(*AGENTS), profiles=(*AGENTS, "plain"))
    for name in AGENTS:
        profile = where / "profiles" / name
        plugin = profile / "plugins" / "keeper"
        plugin.mkdir(parents=True)
        (plugin / "plugin.yaml").write_text("name: keeper\nversion: 1.0.0\ndescription: keeps words\n")
        (plugin / "__init__.py").write_text(PLUGIN)
        with (profile / "config.yaml").open("a") as config:
            config.write("plugins: {enabled: [keeper]}\nagent: {environment_probe: false}\n")
    dave = where / "profiles" / "dave"
    (dave / "workspace" / "server.py").write_text(SERVER)
    with (dave / "config.yaml").open("a") as config:
        config.write(SERVERS)
    return where


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[Running]:
    """Serve it, once every agent has taken a turn."""
    with running_gateway("--home", str(home)) as running:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda name: running.ask("hello", agent=name), AGENTS))
        yield running


def asked(model: str) -> list[dict]:
    """Return what the model server was asked so far, without these questions."""
    requests = httpx.get(f"{model}/requests").json()["requests"]
    return [each for each in requests if each["path"] != "/requests"]


def call(tool: str, **arguments: object) -> str:
    """Return a text that has the test model call a tool."""
    return f"CALL {tool} {json.dumps(arguments)}"


def result(answer: str) -> dict:
    """Return what a tool gave that the model was made to call."""
    found = json.loads(answer.removeprefix("RESULT: "))
    assert isinstance(found, dict)
    return found


def test_a_turn_is_hermes_own(gateway: Running, model: str) -> None:
    """Its prompt has the profile's persona and memory, its tools are Hermes', and the provider gets the gateway's key."""
    assert gateway.answer("hello there", agent="bob") == "echo: hello there"
    request = asked(model)[-1]
    system = request["body"]["messages"][0]["content"]
    assert "You are the persona of bob." in system
    assert "memory of bob" in system
    assert request["body"]["model"] == "model-of-bob"
    assert request["headers"]["authorization"] == "Bearer key-of-bob"
    assert {"skill_manage", "terminal", "keep_word"} <= {tool["function"]["name"] for tool in request["body"]["tools"]}


def test_forty_turns_at_a_time_keep_to_their_own(gateway: Running, home: Path) -> None:
    """Terminal, files, memory, plugin and .env of each of forty concurrent turns are those of its own profile."""
    command = 'echo "$HERMES_HOME:$HOME:$CRM_PASSWORD:$PLUGIN_WORD:$HERMES_ISO_AGENT:$(pwd)"; cat /hermes/memories/MEMORY.md'

    def take(number: int) -> tuple[str, str, dict]:
        agent, kind = AGENTS[number % 4], ("terminal", "keep_word", "write_file", "memory")[number // 4 % 4]
        given = {
            "terminal": {"command": command},
            "keep_word": {"word": f"word-of-{agent}"},
            "write_file": {"path": f"/workspace/file-{number}", "content": f"written by {agent}"},
            "memory": {"action": "add", "target": "memory", "content": f"note {number} of {agent}"},
        }[kind]
        options = {"agent": agent, "X-Hermes-Session-Id": f"many-{number}"}
        return agent, kind, result(gateway.answer(call(kind, **given), **options))

    with ThreadPoolExecutor(40) as threads:
        done = list(threads.map(take, range(40)))
    for agent, kind, found in done:
        others = [name for name in AGENTS if name != agent]
        assert not any(name in json.dumps(found) for name in others), (agent, kind, found)
        if kind == "terminal":
            start = f"/hermes:/home/agent:password-of-{agent}::{agent}:/workspace\nmemory of {agent}\n"
            assert found["output"].startswith(start)
        if kind == "keep_word":
            assert found == {"words": [f"word-of-{agent}"], "home": "/hermes", "crm": f"password-of-{agent}"}
    for number, (agent, kind, _) in enumerate(done):
        profile = home / "profiles" / agent
        assert [role for role, _ in said(profile, f"many-{number}")] == ["user", "assistant", "tool", "assistant"]
        assert [said(home / "profiles" / name, f"many-{number}") for name in AGENTS if name != agent] == [[], [], []]
        if kind == "write_file":
            assert (profile / "workspace" / f"file-{number}").read_text() == f"written by {agent}"
        if kind == "memory":
            assert f"note {number} of {agent}" in (profile / "memories" / "MEMORY.md").read_text()
    for agent in AGENTS:
        log = (home / "profiles" / agent / ".agent" / "logs" / "agent.log").read_text()
        assert f"[many-{AGENTS.index(agent)}]" in log
        assert not any(f"of {name}" in log or f"of-{name}" in log for name in AGENTS if name != agent)


def test_a_session_goes_on_and_can_be_undone(gateway: Running, home: Path, model: str) -> None:
    """The second turn sees the first; what /undo takes back is taken back in state.db, too."""
    options = {"agent": "alice", "X-Hermes-Session-Id": "goes-on"}
    for text in ("my first word", "my second word"):
        assert gateway.answer(text, **options) == f"echo: {text}"
    sent = [message["content"] for message in asked(model)[-1]["body"]["messages"][1:]]
    assert sent == ["my first word", "echo: my first word", "my second word"]
    gateway.answer("/undo", **options)
    gateway.answer("my third word", **options)
    assert [text for _, text in said(home / "profiles" / "alice", "goes-on")] == [
        *("my first word", "echo: my first word", "my third word", "echo: my third word"),
    ]


def test_an_interrupted_turn_keeps_what_was_said(gateway: Running, model: str) -> None:
    """A stop reaches an answer that hangs at once, and what had come of it stays."""
    options = {"agent": "carol", "X-Hermes-Session-Id": "stopped"}
    with ThreadPoolExecutor(2) as threads:
        answer = threads.submit(gateway.answer, "HANG", **options)
        while not any((request["body"] or {}).get("messages", [{}])[-1].get("content") == "HANG" for request in asked(model)):
            time.sleep(0.05)
        gateway.answer("/stop", **options)
        assert answer.result() in ("echo: ", "The turn was stopped before it had said anything.")
    assert gateway.answer("and now", **options).endswith("and now")


def test_a_failing_model_is_one_sentence(gateway: Running) -> None:
    """The gateway's own words come back, at once, and the next turn works."""
    response = gateway.ask("STATUS 401", agent="dave")
    assert response.status_code == 502
    assert "401" in response.json()["error"]["message"]
    assert gateway.answer("again", agent="dave") == "echo: again"


def test_an_mcp_server_runs_inside_with_its_own_values(gateway: Running) -> None:
    """It gets what its config refers to in the profile's .env, and no secret that stands in the config itself."""
    assert "password-of-dave None" in gateway.answer(call("mcp__crm__whose"), agent="dave")


def test_a_background_process_outlasts_its_turn_and_a_subagent_does_not(gateway: Running) -> None:
    """What is started in the background is there in the session's next turn; what is delegated is answered in the same."""
    options = {"agent": "alice", "X-Hermes-Session-Id": "background"}
    gateway.answer(call("terminal", command="sleep 60", background=True), **options)
    (process,) = result(gateway.answer(call("process", action="list"), **options))["processes"]
    assert (process["command"], process["status"]) == ("sleep 60", "running")
    (delegated,) = result(gateway.answer(call("delegate_task", goal="say this", context="none"), **options))["results"]
    assert delegated["summary"] == "echo: say this"


def test_programs_in_the_sandbox_have_no_model_host(gateway: Running) -> None:
    """The engine's way to its model is not a way of the commands that it runs."""
    ask = (
        "curl -s -H 'content-type: application/json' -d '{\"model\": \"model-of-bob\"}' http://model.local/v1/chat/completions"
    )
    assert "have no model host" in result(gateway.answer(call("terminal", command=ask), agent="bob"))["output"]


def test_nothing_lands_beside_the_agents_directories(gateway: Running, home: Path) -> None:
    """What the engine keeps lies in .agent, and no file of the operator's is another after turns."""
    gateway.answer(
        call("terminal", command="for file in SOUL.md config.yaml .env; do echo x >> /hermes/$file; done"), agent="bob"
    )
    profile = home / "profiles" / "bob"
    assert (profile / "SOUL.md").read_text() == "You are the persona of bob.\n"
    assert "echo" not in (profile / "config.yaml").read_text()
    assert {path.name for path in profile.iterdir() if path.is_file()} == {"SOUL.md", "config.yaml", ".env"}
    assert (profile / ".agent" / "state.db").is_file()
    assert not (profile / "logs" / "agent.log").exists()
