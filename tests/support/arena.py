"""A gateway with two agents, `a` and `b`, behind its real HTTP API: with the real pool, or with the one without isolation."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import trio

from hermes_iso.api.server import serve_api
from hermes_iso.config.load import load_config
from hermes_iso.gateway import open_gateway
from tests.support.unsound import UnsoundPool

KEY = "key-of-the-leak-tests"
CONFIG = f"""
model: builtin/offline
agents: {{a: {{}}, b: {{}}}}
platforms: {{api_server: {{enabled: true, extra: {{port: 0, key: {KEY}}}}}}}
"""


def write_arena_home(home: Path) -> Path:
    """Write a home with two profiles, each with a secret of its own in its .env."""
    for agent in ("a", "b"):
        profile = home / "profiles" / agent
        profile.mkdir(parents=True)
        (profile / ".env").write_text(f"SECRET_OF_{agent.upper()}=secret-of-{agent}\nSHARED_NAME=value-of-{agent}\n")
        (profile / "config.yaml").write_text(f"terminal: {{cwd: '.'}}\n# config-of-{agent}\n")
    (home / "config.yaml").write_text(CONFIG)
    return home


class Arena:
    """Ask either agent something, over HTTP."""

    def __init__(self, client: httpx.AsyncClient, url: str, home: Path) -> None:
        self._client = client
        self.url = url
        self.home = home

    async def ask(self, agent: str, text: str, session: str | None = None) -> str:
        """Return an agent's answer."""
        headers = {"X-Hermes-Session-Id": session} if session else {}
        body = {"model": "any", "messages": [{"role": "user", "content": text}]}
        response = await self._client.post(f"{self.url}/p/{agent}/v1/chat/completions", json=body, headers=headers)
        assert response.status_code == 200, response.text
        content = response.json()["choices"][0]["message"]["content"]
        assert isinstance(content, str)
        return content

    async def ask_together(self, questions: Sequence[tuple[str, str]]) -> list[str]:
        """Ask many things at once; return the answers in the questions' order."""
        answers = [""] * len(questions)

        async def one(place: int, agent: str, text: str) -> None:
            answers[place] = await self.ask(agent, text)

        async with trio.open_nursery() as nursery:
            for place, (agent, text) in enumerate(questions):
                nursery.start_soon(one, place, agent, text)
        return answers


@contextlib.asynccontextmanager
async def open_arena(home: Path, *, isolated: bool, engine: str = "native", turn_timeout: float = 60) -> AsyncIterator[Arena]:
    """Serve a fresh home. `engine` is what every agent's turns run on."""
    config = load_config(write_arena_home(home), {})
    agents = {
        name: dataclasses.replace(agent, engine=engine, turn_timeout=turn_timeout) for name, agent in config.agents.items()
    }
    config = dataclasses.replace(config, agents=agents)
    async with (
        contextlib.AsyncExitStack() as stack,
        open_gateway(config, pool=None if isolated else UnsoundPool()) as gateway,
        trio.open_nursery() as nursery,
    ):
        url = await nursery.start(serve_api, gateway, config.api)
        headers = {"Authorization": f"Bearer {KEY}"}
        client = await stack.enter_async_context(httpx.AsyncClient(headers=headers, timeout=60))
        yield Arena(client, url, home)
        nursery.cancel_scope.cancel()
