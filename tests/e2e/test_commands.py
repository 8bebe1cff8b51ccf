"""Slash commands and session_search against a real gateway: real sandboxes, HTTP, and the command line."""

import json
import threading
import time
from pathlib import Path

import pytest

from tests.support.gateways import Running, hermes_iso, running_gateway

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
CONFIG = """\
model: builtin/offline
agents: {coder: {}}
gateway: {serve: all}
platforms:
  api_server:
    enabled: true
    extra:
      port: 0
      key: a-key-for-end-to-end-tests
      keys: {ann: {key: a-key-of-one-person}, bob: {key: a-key-of-another-one}}
"""


def in_session(gateway: Running, text: str, session: str = "s", **options: str) -> str:
    """Say something in a session of an API key."""
    return gateway.answer(text, **{"X-Hermes-Session-Id": session}, **options)


def test_commands_of_a_running_gateway(tmp_path: Path) -> None:
    """A real turn is stopped at once and steered; keys don't find each other's words; a restart loses nothing."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text(CONFIG)
    with running_gateway("--home", str(home)) as gateway:
        in_session(gateway, "the pineapple costs four", key="a-key-of-one-person")
        query = 'TOOL session_search {"query": "pineapple"}'
        mine = json.loads(in_session(gateway, query, key="a-key-of-one-person").removeprefix("RESULT: "))
        theirs = json.loads(in_session(gateway, query, key="a-key-of-another-one").removeprefix("RESULT: "))
        assert (mine["count"], theirs["count"]) == (1, 0)
        in_session(gateway, "/title Fruit", key="a-key-of-one-person")
        in_session(gateway, "/new", key="a-key-of-one-person")
        _stops(gateway)
        _steers(gateway)
        chat = hermes_iso("chat", "--home", str(home), "--agent", "coder", "-q", "/whoami")
        assert (chat.returncode, "Admin: yes" in chat.stdout, "Agent: coder" in chat.stdout) == (0, True, True)
    with running_gateway("--home", str(home)) as gateway:
        assert "Messages: 0" in in_session(gateway, "/status", key="a-key-of-one-person")
        assert "Fruit" in in_session(gateway, "/resume fruit", key="a-key-of-one-person")
        assert "Fruit" not in in_session(gateway, "/sessions", key="a-key-of-another-one")


def _stops(gateway: Running) -> None:
    """Stop a command that sleeps: at the best of some tries its turn has answered within 100 ms of the word.

    The machine may be busy with something else at any of them; the longest that the turn may go on is its grace, 5 s.
    """
    ended: list[float] = []
    waits: list[float] = []
    body = {"model": "x", "messages": [{"role": "user", "content": "/stop"}]}

    def sleep() -> None:
        in_session(gateway, "RUN sleep 30", "sleeper")
        ended.append(time.monotonic())

    with gateway.client(**{"X-Hermes-Session-Id": "sleeper"}) as client:
        while not waits or (min(waits) >= 0.1 and len(waits) < 10):
            thread = threading.Thread(target=sleep)
            thread.start()
            _wait_until_running(gateway, "sleeper")
            time.sleep(0.2)
            asked = time.monotonic()
            assert "was stopped" in client.post("/v1/chat/completions", json=body).text
            thread.join(timeout=10)
            waits.append(ended[-1] - asked)
    assert max(waits) < 5
    assert min(waits) < 0.1, waits
    assert "Nothing runs" in in_session(gateway, "/stop", "sleeper")


def _steers(gateway: Running) -> None:
    """Tell a turn something while its command runs: its last answer is about that."""
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(in_session(gateway, "RUN sleep 1", "steered")))
    thread.start()
    _wait_until_running(gateway, "steered")
    assert in_session(gateway, "/steer and also blue", "steered") == "The running turn has it."
    thread.join(timeout=20)
    assert answers[0].endswith("and also blue")


def _wait_until_running(gateway: Running, session: str) -> None:
    """Wait until a session's turn runs."""
    deadline = time.monotonic() + 20
    while "State: running" not in in_session(gateway, "/status", session):
        assert time.monotonic() < deadline
        time.sleep(0.05)
