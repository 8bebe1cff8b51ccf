"""An agent's door end to end: real clients in real sandboxes, the config's rules, and a reload that closes what was open."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.gateways import Running, hermes_iso, running_gateway

CONFIG = """
model: builtin/offline
agents:
  coder: {{egress: {{allow: ["files.example.com:80"]}}}}
  reader: {{egress: {{allow: ["files.example.com:80"]}}, tools: [read_file]}}
  other: {{}}
egress: {{resolve: {{files.example.com: "127.0.0.1:{port}", secret.example.com: "127.0.0.1:{port}"}}}}
platforms: {{api_server: {{enabled: true, extra: {{key: a-key-for-end-to-end-tests, port: 0}}}}}}
"""


class Files(BaseHTTPRequestHandler):
    """Serves one file, and one that never ends: `streaming` is set once somebody gets that."""

    streaming = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"from-outside\n")
        with contextlib.suppress(OSError):
            while self.path == "/endless":
                self.wfile.write(b".\n")
                self.wfile.flush()
                self.streaming.set()
                time.sleep(0.05)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
        """Say nothing."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """Serve a gateway with a server outside that one name leads to."""
    home = tmp_path_factory.mktemp("egress") / "home"
    home.mkdir(mode=0o700)
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (home / "config.yaml").write_text(CONFIG.format(port=server.server_address[1]), encoding="utf-8")
        with running_gateway("--home", str(home)) as running:
            yield running, home
        server.shutdown()


def test_ordinary_clients_reach_what_is_allowed_and_hear_why_they_do_not(gateway: tuple[Running, Path]) -> None:
    """Curl finds the door by itself; a refusal names the rule and the operator's command, and the host itself is not there."""
    running, _ = gateway
    assert "from-outside" in running.answer("RUN curl -s http://files.example.com/", agent="coder")
    refused = running.answer("RUN curl -s http://secret.example.com/", agent="coder")
    assert "hermes-iso egress explain coder secret.example.com:80" in refused
    tunnel = running.answer("RUN curl -sS https://files.example.com/ 2>&1", agent="coder")
    assert "response 403" in tunnel


@pytest.mark.parametrize("agent", ["other", "main"])
def test_agent_without_egress_has_no_door(gateway: tuple[Running, Path], agent: str) -> None:
    """The same name with the same proxy: there is nobody to connect to."""
    running, _ = gateway
    said = running.answer("RUN curl -sS -x http://127.0.0.1:3128 http://files.example.com/ 2>&1; env", agent=agent)
    assert "from-outside" not in said
    assert "connect" in said
    assert "http_proxy" not in said


def test_commands_and_background_processes_have_doors_too(gateway: tuple[Running, Path]) -> None:
    """The operator's exec and a process that outlives its turn reach the same hosts."""
    running, home = gateway
    done = hermes_iso("exec", "--home", str(home), "--agent", "coder", "--", "curl", "-s", "http://files.example.com/")
    assert (done.stdout, done.returncode) == ("from-outside\n", 0)
    session = {"X-Hermes-Session-Id": "background"}
    answer = running.ask("RUNBG curl -s http://files.example.com/ > got; sleep 60", agent="coder", **session)
    assert answer.status_code == 200
    end = time.monotonic() + 20
    while "from-outside" not in running.answer("RUN cat got 2>&1", agent="coder", **session):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_every_request_is_in_the_journal(gateway: tuple[Running, Path]) -> None:
    """Host, verdict and bytes stand there with the turn that asked, and no path."""
    running, home = gateway
    response = running.ask("RUN curl -s http://files.example.com/?token=hush http://secret.example.com/", agent="coder")
    turn = response.headers["x-hermes-turn-id"]
    end = time.monotonic() + 20
    while True:
        with contextlib.closing(sqlite3.connect(home / "hermes-iso" / "gateway.db")) as database:
            rows = database.execute("SELECT data FROM journal WHERE turn_id = ? AND kind = 'egress'", (turn,)).fetchall()
        if len(rows) == 2 or time.monotonic() > end:
            break
        time.sleep(0.05)
    assert ['"verdict":"allowed"' in data for (data,) in rows] == [True, False]
    assert not any("hush" in data for (data,) in rows)


def test_reload_closes_what_is_no_longer_allowed(gateway: tuple[Running, Path]) -> None:
    """A download that runs is cut when its host leaves the config, and the next is refused."""
    running, home = gateway
    config = home / "config.yaml"
    text = config.read_text(encoding="utf-8")
    said: list[str] = []

    def download() -> None:
        said.append(running.answer("RUN curl -sN http://files.example.com/endless | tail -c 50", agent="coder"))

    thread = threading.Thread(target=download)
    thread.start()
    assert Files.streaming.wait(20)
    config.write_text(text.replace('coder: {egress: {allow: ["files.example.com:80"]}}', "coder: {}"), encoding="utf-8")
    assert hermes_iso("reload", "--home", str(home)).returncode == 0
    thread.join(timeout=20)
    assert said, "the download went on"
    assert "." in said[0]
    assert "from-outside" not in running.answer("RUN curl -s -x http://127.0.0.1:3128 http://files.example.com/", agent="coder")
    config.write_text(text, encoding="utf-8")
    assert hermes_iso("reload", "--home", str(home)).returncode == 0
