"""The two sides: a real `hermes gateway run` and a hermes-iso, each started on its own copy of the same home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from bench.vs_hermes.homes import Plan
from bench.vs_hermes.processes import cpu_seconds, end, free_port, pss_mb

ROOT = Path(__file__).resolve().parents[2]
PEER, OURS = "hermes", "hermes-iso"
START_TIMEOUT = 120.0
TURN_TIMEOUT = 180.0


class SideError(Exception):
    """A side did not start, or did not answer a turn as it should."""


@dataclass(slots=True)
class Side:
    """A gateway that serves; `ready` is how many seconds after its start it answered /health."""

    name: str
    plan: Plan
    home: Path
    url: str
    process: subprocess.Popen[bytes]
    client: httpx.AsyncClient
    ready: float = 0.0
    sent: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    async def complete(self, agent: str, text: str, session: str | None = None) -> httpx.Response:
        """Have an agent take one turn; without a session it gets one of its own."""
        self.sent += 1
        headers = {"x-hermes-session-id": session or f"bench-{os.getpid()}-{self.sent}"}
        path = "/v1/chat/completions" if agent == "main" else f"/p/{agent}/v1/chat/completions"
        return await self.client.post(
            path, json={"model": "test", "messages": [{"role": "user", "content": text}]}, headers=headers
        )

    async def ask(self, agent: str, text: str, session: str | None = None) -> str:
        """Return the text of an agent's answer. Raises SideError for anything but an answer."""
        answer = await self.complete(agent, text, session)
        if answer.status_code != 200:
            raise SideError(f"{self.name} answered {answer.status_code}: {answer.text[:300]}")
        content = answer.json()["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise SideError(f"{self.name} answered without a text: {answer.text[:300]}")
        return content

    async def run(self, agent: str, command: str, session: str | None = None) -> str:
        """Return what a command prints in an agent's terminal. Raises SideError where it was not run."""
        answer = await self.tool(agent, "terminal", {"command": command}, session)
        try:
            found = json.loads(answer)
            output, status = str(found["output"]), found.get("status")
        except (ValueError, KeyError, TypeError):
            raise SideError(f"{self.name} did not run a command: {answer}") from None
        if status in {"pending_approval", "error", "blocked"}:
            raise SideError(f"{self.name} did not run a command: {answer}")
        return output

    async def tool(self, agent: str, name: str, arguments: dict[str, Any], session: str | None = None) -> str:
        """Return what a tool answers in a turn of an agent."""
        answer = await self.ask(agent, f"TOOL {name} {json.dumps(arguments)}", session)
        return answer.removeprefix("RESULT:").strip()

    def profile(self, agent: str) -> Path:
        """Return where an agent's home lies on this machine."""
        return self.home if agent == "main" else self.home / "profiles" / agent

    def cpu_seconds(self) -> float:
        """Return the processor time of the whole tree so far."""
        return cpu_seconds({self.process.pid})

    def pss_mb(self) -> float:
        """Return the megabytes of the whole tree."""
        return pss_mb({self.process.pid})


@dataclass(frozen=True, slots=True)
class Setting:
    """Where things are: the interpreter that has hermes-agent, the engine on our side, and a directory to write in."""

    hermes: Path
    engine: str
    work: Path

    def environment(self, home: Path, plan: Plan) -> dict[str, str]:
        """Return the environment of a gateway: the operator's, with a secret in it that is no agent's."""
        own = {"OPERATOR_NOTE": plan.canary("operator"), "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8"}
        return {"PATH": os.environ["PATH"], "SHELL": "/bin/bash"} | own

    def argv(self, side: str, root: Path) -> list[str]:
        """Return the command that starts a side."""
        if side == PEER:
            return [str(self.hermes), "-m", "hermes_cli.main", "gateway", "run"]
        return [sys.executable, "-m", "hermes_iso", "run", "--home", str(root)]

    def overlay(self, agents: tuple[str, ...]) -> str:
        """Return what only our side's config needs: the engine of each agent."""
        lines = [f"  {agent}: {{engine: {self.engine}}}\n" for agent in ("main", *agents)]
        engines = f"engines: {{hermes: {{python: {self.hermes}}}}}\n" if self.engine == "hermes" else ""
        return f"agents:\n{''.join(lines)}{engines}"


@asynccontextmanager
async def start(side: str, plan: Plan, setting: Setting, *, name: str = "") -> AsyncIterator[Side]:
    """Start a side on a home of its own below the setting's directory, and end all of it afterwards. Raises SideError."""
    home = setting.work / (name or side)
    port = free_port()
    root = plan.write(home, port, setting.overlay(plan.agents) if side == OURS else "")
    log = home / "gateway.log"
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            setting.argv(side, root),
            env=setting.environment(home, plan),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    headers = {"authorization": f"Bearer {plan.key}"}
    client = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", timeout=TURN_TIMEOUT, limits=limits, headers=headers, trust_env=False
    )
    try:
        async with client:
            found = Side(side, plan, root, str(client.base_url), process, client)
            await _serving(found, began, log)
            yield found
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(end, process, 20.0)


async def _serving(side: Side, began: float, log: Path) -> None:
    """Wait until a side answers; note how long that took."""
    while True:
        try:
            if (await side.client.get("/health")).status_code == 200:
                side.ready = time.monotonic() - began
                return
        except httpx.TransportError:
            pass
        if side.process.poll() is not None or time.monotonic() - began > START_TIMEOUT:
            tail = log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise SideError(f"{side.name} did not start (status {side.process.poll()}):\n{tail}")
        await trio.sleep(0.02)
