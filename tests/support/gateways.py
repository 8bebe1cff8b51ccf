"""Start `hermes-iso run` as a user does, as a process of its own, and stop it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join(str(ROOT / name) for name in (".", "sandbox", "adapters"))
KEY = "a-key-for-end-to-end-tests"
CLIENT_KEY = "a-key-bound-to-one-agent"


def environment() -> dict[str, str]:
    """Return a small environment with a canary of the operator's in it."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": PATHS,
        "HOME": os.environ.get("HOME", "/"),
        "OPERATOR_CANARY": "canary-op",
    }


def hermes_iso(*words: str, stdin: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    argv = [sys.executable, "-m", "hermes_iso", *words]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, env=environment())


@dataclass
class Running:
    """A gateway that serves."""

    process: subprocess.Popen[str]
    ready: str
    url: str
    key: str

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """Return a client with a key."""
        return httpx.Client(
            base_url=self.url, timeout=60, headers={"Authorization": f"Bearer {key or self.key}", **headers}, trust_env=False
        )

    def ask(self, text: str, *, agent: str | None = None, key: str | None = None, **headers: str) -> httpx.Response:
        """Ask for a completion and return the response."""
        path = f"/p/{agent}/v1/chat/completions" if agent else "/v1/chat/completions"
        with self.client(key, **headers) as client:
            return client.post(path, json={"model": "x", "messages": [{"role": "user", "content": text}]})

    def answer(self, text: str, **options: str) -> str:
        """Ask and return the answer's text."""
        response = self.ask(text, **options)
        assert response.status_code == 200, response.text
        content = response.json()["choices"][0]["message"]["content"]
        assert isinstance(content, str)
        return content


@contextlib.contextmanager
def running_gateway(*words: str, key: str = KEY, status: int = 0, **more: str) -> Iterator[Running]:
    """Start `hermes-iso run WORDS`, wait for its ready line, and end it with SIGTERM; it must exit with `status`.

    more: what its environment has beside the usual.
    """
    argv = [sys.executable, "-m", "hermes_iso", "run", *words]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment() | more)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        found = re.match(r"ready url=(\S+) agents=(\S+)", ready)
        assert found is not None, f"no ready line but {ready!r}, status {process.poll()}"
        shown = re.search(r" key=(\S+)", ready)
        yield Running(process, ready, found[1], shown[1] if shown else key)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == status
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def write_hermes_home(home: Path, base_url: str, *, more: str = "", profiles: Sequence[str] = ("alice", "bob")) -> Path:
    """Write a home by hand in Hermes' own layout: two profiles, multiplexed, an OpenAI-compatible provider."""
    home.mkdir(parents=True)
    (home / "config.yaml").write_text(
        f"""\
_config_version: 33
model: {{default: test-model, provider: custom, base_url: {base_url}, api_key: key-of-main}}
gateway: {{multiplex_profiles: true}}
platforms:
  api_server:
    enabled: true
    extra: {{host: 127.0.0.1, port: 0, key: {KEY}, keys: {{client: {{key: {CLIENT_KEY}, agents: [alice]}}}}}}
{more}"""
    )
    (home / "SOUL.md").write_text("You are the root persona.\n")
    for name in profiles:
        profile = home / "profiles" / name
        for directory in ("cron", "home", "logs", "memories", "plans", "sessions", "skills", "skins", "workspace"):
            (profile / directory).mkdir(parents=True)
        (profile / "config.yaml").write_text(
            f"model: {{default: model-of-{name}, provider: custom, base_url: {base_url}, api_key: key-of-{name}}}\n"
        )
        (profile / ".env").write_text(f"CRM_PASSWORD=password-of-{name}\nOPENAI_API_KEY=provider-key-of-{name}\n")
        (profile / ".env").chmod(0o600)
        (profile / "SOUL.md").write_text(f"You are the persona of {name}.\n")
        (profile / "memories" / "MEMORY.md").write_text(f"memory of {name}\n§\nsecond entry\n")
    return home
