"""The model host and a secret end to end: real clients in real sandboxes of a real gateway."""

from __future__ import annotations

import json
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.support.gateways import Running, hermes_iso, running_gateway

VALUE = "a-real-value-0123456789"
CONFIG = """
model: builtin/offline
agents:
  coder:
    models: []
    secrets: {{TRACKER: {{host: api.tracker.example, value_from: {{file: {secret}}}}}}}
  plain: {{egress: {{allow: ["files.example.com:80"]}}}}
egress: {{resolve: {{api.tracker.example: "127.0.0.1:{port}"}}}}
platforms: {{api_server: {{enabled: true, extra: {{key: a-key-for-end-to-end-tests, port: 0}}}}}}
"""
CHAT = "RUN curl -s http://model.local/v1/chat/completions -H \"content-type: application/json\" -d '{}'"


class Tracker(BaseHTTPRequestHandler):
    """Says whether it was asked with the real credential; /echo says the credential itself."""

    def do_GET(self) -> None:
        given = self.headers.get("authorization", "")
        self.send_response(200)
        self.end_headers()
        known = "known" if given == f"Bearer {VALUE}" else "unknown"
        self.wfile.write(given.encode() if self.path == "/echo" else f"you-are-{known}\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class' name
        """Say nothing."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """Serve a gateway beside a TLS server that its system trusts."""
    place = tmp_path_factory.mktemp("own")
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("api.tracker.example").configure_cert(tls)
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    (place / "secret").write_text(VALUE, encoding="utf-8")
    (place / "secret").chmod(0o600)
    home = place / "home"
    home.mkdir(mode=0o700)
    with ThreadingHTTPServer(("127.0.0.1", 0), Tracker) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = CONFIG.format(port=server.server_address[1], secret=place / "secret")
        (home / "config.yaml").write_text(config, encoding="utf-8")
        with running_gateway("--home", str(home), SSL_CERT_FILE=str(place / "ca.pem")) as running:
            yield running, home
        server.shutdown()


def test_a_program_asks_its_agents_model(gateway: tuple[Running, Path]) -> None:
    """With plain curl, at the model host's name; another model is refused, and so is another agent's program."""
    running, _ = gateway
    body = json.dumps({"model": "offline", "messages": [{"role": "user", "content": "from-a-program"}]})
    assert "from-a-program" in running.answer(CHAT.replace("{}", body), agent="coder").partition("RESULT")[2]
    refused = running.answer(CHAT.replace("{}", body.replace("offline", "gpt-9")), agent="coder")
    assert "not one that this agent may use" in refused
    assert "There is no model host" in running.answer("RUN curl -s http://model.local/v1/models", agent="plain")


def test_a_secret_is_used_and_never_seen(gateway: tuple[Running, Path]) -> None:
    """The host takes it, the sandbox has a placeholder, an echo is cut, and nothing of the gateway's writes it down."""
    running, home = gateway
    auth = '-H "Authorization: Bearer $TRACKER"'
    assert "you-are-known" in running.answer(f"RUN curl -s {auth} http://api.tracker.example/", agent="coder")
    assert "hermes-iso-secret-TRACKER" in running.answer("RUN env; cat /hermes/.env", agent="coder")
    assert VALUE not in running.answer(f"RUN curl -s {auth} http://api.tracker.example/echo; env; true", agent="coder")
    tunnel = running.answer(f"RUN curl -sSv {auth} https://api.tracker.example/ 2>&1; true", agent="coder")
    assert "403" in tunnel
    assert "you-are" not in tunnel
    done = hermes_iso(
        "exec", "--home", str(home), "--agent", "coder", "--", "sh", "-c", f"curl -s {auth} http://api.tracker.example/"
    )
    assert done.stdout == "you-are-known\n"
    with sqlite3.connect(f"file:{home}/hermes-iso/gateway.db?mode=ro", uri=True) as database:
        rows = database.execute("SELECT kind, data FROM journal").fetchall()
    ends = [json.loads(data)["end"] for kind, data in rows if kind == "secret_sent"]
    assert (ends.count("ended"), ends.count("leak")) == (2, 1)
    assert VALUE not in str(rows)
    written = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert written
    assert [path for path in written if VALUE.encode() in path.read_bytes()] == []
