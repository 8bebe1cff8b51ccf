"""One Hermes home, written once for each side: the same agents, secrets, memories and plugin in both."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

DIRECTORIES = ("cron", "home", "logs", "memories", "plans", "sessions", "skills", "skins", "workspace")

PLUGIN = '''\
"""A plugin as a client may bring it: its tools look at, and change, the process that they run in."""

import json
import os
import threading
import time

SEEN = []


def _spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def _probe(args, **_):
    action, value = args.get("action"), str(args.get("value", ""))
    if action == "setenv":
        os.environ["BENCH_PLUGIN"] = value
    if action == "chdir":
        os.chdir(value)
    if action == "remember":
        SEEN.append(value)
    if action == "patch":
        json.BENCH_MARK = value
    if action == "spin":
        _spin(float(value))
    if action == "thread":
        threading.Thread(target=_spin, args=(float(value),), daemon=True, name="bench-left").start()
    return json.dumps({
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "env": os.environ.get("BENCH_PLUGIN", ""),
        "seen": SEEN,
        "mark": getattr(json, "BENCH_MARK", ""),
        "threads": [each.name for each in threading.enumerate() if each.name.startswith("bench-")],
        "canaries": sorted(value for name, value in os.environ.items() if value.startswith("canary-")),
    })


_SCHEMA = {
    "name": "bench_probe",
    "description": "Look at the process that runs this tool.",
    "parameters": {"type": "object", "properties": {"action": {"type": "string"}, "value": {"type": "string"}}},
}


def register(ctx):
    ctx.register_tool(name="bench_probe", toolset="bench", schema=_SCHEMA, handler=_probe)
'''


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same on both sides: who is served, by which model, with which secrets."""

    model: str
    agents: tuple[str, ...]
    key: str = field(default_factory=lambda: f"key-{secrets.token_hex(16)}")
    nonce: str = field(default_factory=lambda: secrets.token_hex(4))

    @classmethod
    def of(cls, model: str, agents: Sequence[str]) -> Plan:
        """Plan agents beside the root home's own."""
        return cls(model, tuple(agents))

    def canary(self, of: str) -> str:
        """Return the secret that belongs to an agent, or to the operator, alone."""
        return f"canary-{of}-{self.nonce}"

    def write(self, home: Path, port: int, more: str = "") -> Path:
        """Write the home of one side at `home`/.hermes, with the API on that port; `more` goes into the root's config."""
        root = home / ".hermes"
        self._profile(root, "main", _ROOT.format(key=self.key, port=port) + more)
        for agent in self.agents:
            self._profile(root / "profiles" / agent, agent, "")
        return root

    def _profile(self, directory: Path, agent: str, more: str) -> None:
        for name in DIRECTORIES:
            (directory / name).mkdir(parents=True, exist_ok=True)
        workspace = directory / "workspace"
        (directory / "config.yaml").write_text(
            _PROFILE.format(agent=agent, model=self.model, workspace=json.dumps(str(workspace))) + more, encoding="utf-8"
        )
        env = directory / ".env"
        env.write_text(f"{agent.upper()}_CANARY={self.canary(agent)}\nSHARED_NAME=value-of-{agent}\n", encoding="utf-8")
        env.chmod(0o600)
        (directory / "SOUL.md").write_text(f"You are the assistant {agent}.\n", encoding="utf-8")
        (directory / "memories" / "MEMORY.md").write_text(
            f"The memory of {agent}: {self.canary(agent)}-memory\n", encoding="utf-8"
        )
        (workspace / "whose").write_text(f"workspace-of-{agent}\n", encoding="utf-8")
        plugin = directory / "plugins" / "bench"
        plugin.mkdir(parents=True, exist_ok=True)
        (plugin / "plugin.yaml").write_text(
            "name: bench\nversion: 1.0.0\ndescription: looks at its process\n", encoding="utf-8"
        )
        (plugin / "__init__.py").write_text(PLUGIN, encoding="utf-8")


_PROFILE = """\
_config_version: 33
model: {{default: test, provider: custom, base_url: "{model}/v1", api_key: key-of-{agent}, context_length: 131072}}
terminal: {{backend: local, cwd: {workspace}}}
plugins: {{enabled: [bench]}}
"""
_ROOT = """\
gateway:
  multiplex_profiles: true
  api_server: {{max_concurrent_runs: 0}}
platforms:
  api_server:
    enabled: true
    extra: {{host: 127.0.0.1, port: {port}, key: {key}}}
"""
