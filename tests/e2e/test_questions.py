"""Questions and approvals of real turns, in sandboxes of both engines, over HTTP and at the console."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gateways import Running, hermes_iso, running_gateway
from tests.support.hermes import engine_keys
from tests.support.hermes_package import needs_hermes

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
CONFIG = """\
model: builtin/offline
gateway: {serve: all}
platforms: {api_server: {enabled: true, extra: {port: 0, key: a-key-for-end-to-end-tests}}}
"""
ASK = 'TOOL clarify {"question": "Which colour?", "choices": ["red", "blue"]}'


class Streamed:
    """A request whose answer is streamed; `text` is what has come of it so far."""

    def __init__(self, gateway: Running, text: str, session: str) -> None:
        self.text = ""
        self._gateway = gateway
        self._session = session
        self._thread = threading.Thread(target=self._read, args=(text,))
        self._thread.start()

    def _read(self, text: str) -> None:
        body = {"model": "x", "stream": True, "messages": [{"role": "user", "content": text}]}
        client = self._gateway.client(**{"X-Hermes-Session-Id": self._session})
        with client, client.stream("POST", "/v1/chat/completions", json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    self.text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")

    def wait_for(self, words: str) -> None:
        """Wait until the answer holds these words."""
        _until(lambda: words in self.text)

    def end(self) -> str:
        """Wait for the end and return the whole text."""
        self._thread.join(timeout=60)
        assert not self._thread.is_alive()
        return self.text


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _home(tmp_path: Path, more: str = "") -> str:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.yaml").write_text(CONFIG + more)
    return str(home)


def test_question_waits_for_its_answer(tmp_path: Path) -> None:
    """In the stream of a named session, and at the console; where nobody can answer, the turn is told at once."""
    home = _home(tmp_path)
    with running_gateway("--home", home) as gateway:
        asked = Streamed(gateway, ASK, "s")
        asked.wait_for("Which colour?\n1. red\n2. blue")
        assert gateway.answer("2", **{"X-Hermes-Session-Id": "s"}) == "The agent has your answer."
        assert '"user_response": "blue"' in asked.end()
        assert "Nobody can be asked here" in gateway.answer(ASK)
        chat = hermes_iso("chat", "--home", home, stdin=f"{ASK}\n1\n")
        assert '"user_response": "red"' in chat.stdout
        assert "Nobody can be asked here" in hermes_iso("chat", "--home", home, "-q", ASK).stdout


@needs_hermes
def test_hermes_asks_before_a_dangerous_command(tmp_path: Path) -> None:
    """A command runs once it is approved and not before; what is approved for good is not asked again; /stop ends a wait."""
    home = _home(tmp_path, engine_keys("main"))
    workspace = Path(home) / "workspace"
    with running_gateway("--home", home) as gateway:
        gateway.answer("hello", **{"X-Hermes-Session-Id": "s"})
        for answer, left in (("/deny not now", True), ("/approve always", False)):
            (workspace / "build").mkdir(mode=0o777, parents=True, exist_ok=True)
            asked = Streamed(gateway, "RUN rm -rf build", "s")
            asked.wait_for("asks for approval (recursive delete):\n\n    rm -rf build")
            assert (workspace / "build").exists()
            gateway.answer(answer, **{"X-Hermes-Session-Id": "s"})
            assert ("not now" in asked.end(), (workspace / "build").exists()) == (left, left)
        again = gateway.answer("RUN mkdir build; rm -rf build; echo done", **{"X-Hermes-Session-Id": "other"})
        assert '"output": "done"' in again
        gateway.answer("/approve forget recursive delete", **{"X-Hermes-Session-Id": "s"})
        asked = Streamed(gateway, "RUN rm -rf build", "s")
        asked.wait_for("asks for approval")
        assert "was stopped" in gateway.answer("/stop", **{"X-Hermes-Session-Id": "s"})
        asked.end()
        assert "Nobody can be asked here" in gateway.answer("RUN rm -rf build")
        chat = hermes_iso("chat", "--home", home, stdin=f"{ASK}\n1\n")
        assert '"user_response": "red"' in chat.stdout
