"""Turns of the real hermes-agent over HTTP: each in its agent's sandbox, with its own home, model, tools and conversation."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from hermes_iso.history import SUMMARY_TITLE
from tests.support.gateways import Running, running_gateway, write_hermes_home
from tests.support.hermes import engine_keys, said
from tests.support.hermes_package import needs_hermes
from tests.support.model_program import model_program

pytestmark = needs_hermes
AGENTS = ("alice", "bob", "carol", "dave")
PLUGIN = """
import json
import os
import time

from run_agent import AIAgent

STATE = []
USUAL = AIAgent.interrupt

def interrupt(*args, **more):
    with open("/workspace/interrupted", "w") as file:
        file.write(str(time.time()))
    return USUAL(*args, **more)

AIAgent.interrupt = interrupt

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


KINDS = ("terminal", "keep_word", "write_file", "memory")
COMMAND = 'echo "$HERMES_HOME:$HOME:$CRM_PASSWORD:$PLUGIN_WORD:$HERMES_ISO_AGENT:$(pwd)"; cat /hermes/memories/MEMORY.md'


def probe(gateway: Running, agent: str, kind: str, session: str) -> dict:
    """Have an agent use a tool in a session and return what it gave."""
    given = {
        "terminal": {"command": COMMAND},
        "keep_word": {"word": f"word-of-{agent}"},
        "write_file": {"path": f"/workspace/{session}", "content": f"written by {agent}"},
        "memory": {"action": "add", "target": "memory", "content": f"note {session} of {agent}"},
    }[kind]
    return result(gateway.answer(call(kind, **given), agent=agent, **{"X-Hermes-Session-Id": session}))


def leaks(home: Path, agent: str, kind: str, session: str, found: dict) -> list[str]:
    """Return what is not as it has to be when a probe was the agent's own: its answer, its file, its rows in state.db."""
    profile, others = home / "profiles" / agent, [name for name in AGENTS if name != agent]
    own = {
        "terminal": lambda: str(found.get("output")).startswith(
            f"/hermes:/home/agent:password-of-{agent}::{agent}:/workspace\nmemory of {agent}\n"
        ),
        "keep_word": lambda: found == {"words": [f"word-of-{agent}"], "home": "/hermes", "crm": f"password-of-{agent}"},
        "write_file": lambda: (file := profile / "workspace" / session).exists() and file.read_text() == f"written by {agent}",
        "memory": lambda: f"note {session} of {agent}" in (profile / "memories" / "MEMORY.md").read_text(),
    }[kind]
    roles = [role for role, _ in said(profile, session)]
    wrong = {
        "another agent is named": any(name in json.dumps(found) for name in others),
        "the answer or the file is not its own": not own(),
        "its rows are not its own": roles != ["user", "assistant", "tool", "assistant"],
        "another agent has its rows": any(said(home / "profiles" / name, session) for name in others),
    }
    return [what for what, holds in wrong.items() if holds]


def test_forty_turns_at_a_time_keep_to_their_own(gateway: Running, home: Path) -> None:
    """Terminal, files, memory, plugin, .env, rows and log of each of forty concurrent turns are those of its own profile."""

    def take(number: int) -> tuple[str, str, str, dict]:
        agent, kind, session = AGENTS[number % 4], KINDS[number // 4 % 4], f"many-{number}"
        return agent, kind, session, probe(gateway, agent, kind, session)

    with ThreadPoolExecutor(40) as threads:
        done = list(threads.map(take, range(40)))
    assert [(taken, wrong) for taken in done if (wrong := leaks(home, *taken))] == []
    for agent in AGENTS:
        log = (home / "profiles" / agent / ".agent" / "logs" / "agent.log").read_text()
        assert f"[many-{AGENTS.index(agent)}]" in log
        assert not any(f"of {name}" in log or f"of-{name}" in log for name in AGENTS if name != agent)


@pytest.mark.parametrize("kind", KINDS)
def test_the_probes_see_a_leak(gateway: Running, home: Path, kind: str) -> None:
    """Were bob served from alice's profile, each probe would say so: real answers from there, judged as bob's, are leaks."""
    session = f"shared-{kind}"
    found = probe(gateway, "alice", kind, session)
    assert leaks(home, "alice", kind, session, found) == []
    wrong = leaks(home, "bob", kind, session, found)
    assert {"the answer or the file is not its own", "its rows are not its own", "another agent has its rows"} <= set(wrong)
    if kind in ("terminal", "keep_word"):
        assert "another agent is named" in wrong


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


def test_title_and_compress_hold_in_state_db(gateway: Running, home: Path, model: str) -> None:
    """The next turn is asked with the summary and what was kept, and state.db, the model and the gateway agree on that."""
    options = {"agent": "alice", "X-Hermes-Session-Id": "shorter"}
    for text in ("one", "two", "three"):
        gateway.answer(text, **options)
    gateway.answer("/title A short one", **options)
    assert "2 messages were summed up" in gateway.answer("/compress", **options)
    gateway.answer("four", **options)
    database, told = home / "profiles" / "alice", asked(model)[-1]["body"]["messages"][1:]
    texts = [text for _, text in said(database, "shorter")]
    assert texts[:2] == [SUMMARY_TITLE, told[1]["content"]]
    assert texts[1].startswith("echo: Sum up our conversation")
    assert texts[2:] == ["two", "echo: two", "three", "echo: three", "four", "echo: four"]
    assert [message["content"] for message in told] == texts[:-1]
    with contextlib.closing(sqlite3.connect(home / "hermes-iso" / "agents" / "alice" / "sessions.db")) as connection:
        select = "SELECT message FROM messages m JOIN sessions s ON s.id = m.session WHERE session_id = 'shorter' ORDER BY seq"
        assert [json.loads(row)["content"] for (row,) in connection.execute(select)] == texts
    with contextlib.closing(sqlite3.connect(database / ".agent" / "state.db")) as connection:
        assert connection.execute("SELECT title FROM sessions WHERE id = 'shorter'").fetchone() == ("A short one",)


@pytest.mark.parametrize(
    ("text", "event", "output"),
    [("HANG", "message.delta", "echo: "), (f"CALL terminal {json.dumps({'command': 'sleep 60'})}", "tool.started", "")],
)
def test_a_stop_is_inside_within_100_ms(gateway: Running, home: Path, text: str, event: str, output: str) -> None:
    """Counted from the client's request to hermes-agent's own interrupt; what was said by then is the run's output."""
    seen, delays = home / "profiles" / "carol" / "workspace" / "interrupted", []
    with gateway.client() as client, gateway.client() as stopping:
        for _ in range(5):
            run = client.post("/p/carol/v1/runs", json={"model": "x", "input": text}).json()["run_id"]
            with client.stream("GET", f"/p/carol/v1/runs/{run}/events") as response:
                lines = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {"))
                next(told for told in lines if told["event"] == event)
                began = time.time()
                stopping.post(f"/p/carol/v1/runs/{run}/stop").raise_for_status()
                last = list(lines)[-1]
            assert (last["event"], last["output"].startswith(output)) == ("run.cancelled", True), last
            delays.append(float(seen.read_text()) - began)
            assert delays[-1] > 0
            if min(delays) < 0.1:
                break
    assert min(delays) < 0.1, delays


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
