"""A gateway whose home changes while it runs: who is served, by which config, and what becomes of turns and keys."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from hermes_iso.admin import find_gateway
from tests.support.gateways import (
    CLIENT_KEY,
    KEY,
    PATHS,
    ROOT,
    Running,
    environment,
    hermes_iso,
    running_gateway,
    write_hermes_home,
)

PATIENCE = 20.0


def operate(home: Path, operation: str) -> dict[str, Any]:
    """Ask something of the gateway, as the commands do."""

    async def ask() -> dict[str, Any]:
        client = await find_gateway(home)
        assert client is not None
        return await client.operate(operation)

    return trio.run(ask)


def status(home: Path) -> dict[str, Any]:
    """Ask the gateway how it is."""
    return operate(home, "status")


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes bring about."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.02)


def replace(file: Path, old: str, new: str) -> None:
    """Edit a file as an editor does: a new one takes its place."""
    text = file.read_text()
    assert old in text
    beside = file.with_name("edited")
    beside.write_text(text.replace(old, new))
    beside.replace(file)


@pytest.fixture
def model() -> Iterator[str]:
    """Run the test model server as a program; give its URL."""
    argv = [sys.executable, "-m", "tests.servers.model_server", "--port", "0"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": PATHS, "PATH": "/usr/bin"})
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1]
    process.terminate()
    process.wait()
    process.stdout.close()


def test_turn_ends_under_the_config_that_it_began_with(tmp_path: Path, model: str) -> None:
    """SIGHUP while a turn runs: all its model calls go to the old model with the old persona, those of the next to the new."""
    home = write_hermes_home(tmp_path / "home", f"{model}/v1")
    alice = home / "profiles" / "alice"
    wait = 'CALL terminal {"command": "touch started; until [ -e go ]; do sleep 0.05; done; echo went on"}'
    with running_gateway("--home", str(home)) as gateway, ThreadPoolExecutor(1) as executor:
        running = executor.submit(gateway.answer, wait, agent="alice")
        try:
            wait_until((alice / "workspace" / "started").exists)
            replace(alice / "config.yaml", "model-of-alice", "new-model")
            replace(alice / "SOUL.md", "the persona of alice", "somebody new")
            gateway.process.send_signal(signal.SIGHUP)
            wait_until(lambda: status(home)["generation"] == 2)
            assert gateway.answer("hello", agent="alice") == "echo: hello"
        finally:
            (alice / "workspace" / "go").touch()
        assert "went on" in running.result(PATIENCE)
    calls = httpx.get(f"{model}/requests").json()["requests"]
    seen = [(call["body"]["model"], "somebody new" in call["body"]["messages"][0]["content"]) for call in calls]
    assert seen == [("model-of-alice", False), ("new-model", True), ("model-of-alice", False)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Write a home with profiles of its own and the offline model."""
    home = write_hermes_home(tmp_path / "home", "http://127.0.0.1:9/v1")
    for file in (home / "config.yaml", *home.glob("profiles/*/config.yaml")):
        lines = [line for line in file.read_text().splitlines() if not line.startswith("model:")]
        file.write_text("\n".join(["model: builtin/offline", *lines, ""]))
    return home


@pytest.fixture
def gateway(home: Path) -> Iterator[Running]:
    """Serve it."""
    with running_gateway("--home", str(home)) as running:
        yield running


def test_wrong_config_changes_nothing_and_says_every_reason(home: Path, gateway: Running) -> None:
    """`reload` prints each mistake with its line and exits 2; the gateway serves on as before, and says why it did not."""
    config = home / "config.yaml"
    good = config.read_text()
    config.write_text(good.replace("alice]", "nobody]") + "modle: x\n")
    done = hermes_iso("reload", "--home", str(home))
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0].startswith(f"{config}:") for line in lines] == [True, True], done.stderr
    assert f"{config}:{len(good.splitlines()) + 1}: modle: unknown key" in done.stderr
    found = status(home)
    assert (found["generation"], found["last_reload"]["problems"]) == (1, lines)
    assert "agent=alice" in gateway.answer("hello", agent="alice", key=CLIENT_KEY)
    config.write_text(good)
    assert operate(home, "reload")["generation"] == 2
    assert status(home)["last_reload"]["problems"] == []


def test_keys_and_routes_count_at_once_and_an_address_at_the_next_start(home: Path, gateway: Running) -> None:
    """A revoked key is refused from the reload on, a new one taken, a route followed; the port stays until a restart."""
    assert gateway.ask("x", key=CLIENT_KEY).status_code == 200
    replace(home / "config.yaml", CLIENT_KEY, "another-key-of-the-client")
    replace(home / "config.yaml", "port: 0", "port: 9999")
    with (home / "config.yaml").open("a") as file:
        file.write("routes: [{match: {platform: api_server, chat_id: work}, agent: bob}]\n")
    assert gateway.ask("x", key=CLIENT_KEY).status_code == 200
    done = hermes_iso("reload", "--home", str(home))
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "generation 2: routes: 1 added"
    assert told[1] == "needs a restart: platforms.api_server.extra.port: 0 until a restart, then 9999"
    assert gateway.ask("x", key=CLIENT_KEY).status_code == 401
    assert gateway.ask("x", key="another-key-of-the-client").headers["x-hermes-agent"] == "alice"
    assert gateway.ask("x", **{"X-Hermes-Chat-Id": "work"}).headers["x-hermes-agent"] == "bob"


def test_agent_comes_and_goes_without_a_restart(home: Path, gateway: Running) -> None:
    """`agent add` makes one that answers at once; `agent remove` ends it with its background processes, and keeps its home."""
    before = (home / "config.yaml").read_bytes()
    added = hermes_iso("agent", "add", "carol", "--clone-from", "alice", "--home", str(home))
    assert added.returncode == 0, added.stderr
    assert "generation 2: added carol\n" in added.stdout
    assert "carol" in gateway.answer("RUN echo $HERMES_ISO_AGENT; cat /hermes/memories/MEMORY.md", agent="carol")
    assert gateway.ask("x", agent="carol", key=CLIENT_KEY).status_code == 403
    gateway.answer("RUNBG sleep 1000", agent="carol", **{"X-Hermes-Session-Id": "s"})
    assert status(home)["pool"]["processes"] == 1
    sandboxes = status(home)["pool"]["sandboxes"]
    removed = hermes_iso("agent", "remove", "carol", "--yes", "--home", str(home))
    assert removed.returncode == 0, removed.stderr
    assert gateway.ask("x", agent="carol").status_code == 404
    wait_until(lambda: status(home)["pool"]["sandboxes"] == sandboxes - 1)
    assert status(home)["pool"]["processes"] == 0
    assert (home / "profiles/carol/memories/MEMORY.md").read_text().startswith("memory of alice")
    after = (home / "config.yaml").read_bytes()
    assert after == before + b"agents: {}\n"


def test_edited_file_counts_by_itself_where_that_is_asked_for(home: Path) -> None:
    """With gateway.reload_on_change nobody has to say anything."""
    replace(home / "config.yaml", "multiplex_profiles: true", "multiplex_profiles: true, reload_on_change: true")
    with running_gateway("--home", str(home)) as gateway:
        assert gateway.ask("x", key=CLIENT_KEY).headers["x-hermes-agent"] == "alice"
        replace(home / "config.yaml", "agents: [alice]", "agents: [bob]")
        wait_until(lambda: status(home)["generation"] == 2)
        assert gateway.ask("x", key=CLIENT_KEY).headers["x-hermes-agent"] == "bob"


def test_status_watches_and_drain_ends_with_the_gateway(home: Path) -> None:
    """`status --watch --json` is a line per look until Ctrl-C; `drain` returns when the gateway is gone, which exits 0."""
    with running_gateway("--home", str(home)) as gateway:
        argv = [sys.executable, "-m", "hermes_iso", "status", "--watch", "--json", "--home", str(home)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment()) as watch:
            assert watch.stdout is not None
            looks = [json.loads(watch.stdout.readline()) for _ in range(2)]
            watch.send_signal(signal.SIGINT)
            assert watch.wait(PATIENCE) == 130
        assert [look["pid"] for look in looks] == [gateway.process.pid] * 2
        assert [agent["id"] for agent in looks[0]["agents"]] == ["main", "alice", "bob"]
        assert KEY not in json.dumps(looks)
        shown = hermes_iso("status", "--home", str(home))
        assert f"pid {gateway.process.pid}, up " in shown.stdout
        drained = hermes_iso("drain", "--home", str(home))
        assert drained.returncode == 0, drained.stderr
        assert drained.stdout == "The gateway has stopped; 0 running, 0 waiting when it was told to.\n"
        assert gateway.process.wait(0.1) == 0
