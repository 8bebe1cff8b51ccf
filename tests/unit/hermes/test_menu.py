"""The model host as a Hermes agent's turn has it: the placeholder says which model, and the gateway puts in its key."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from hermes_iso.broker.calls import OfflineFacts
from hermes_iso.broker.models import ModelBroker, ModelLimits
from hermes_iso.hermes.key_pool import KeyPool
from hermes_iso.hermes.menu import HermesMenu
from hermes_iso.hermes.model_inside import inside
from hermes_iso.hermes.resolved import OFFLINE, HermesModel, PoolKey, Resolved
from tests.servers.model_server import ModelServer, serve_model_server
from tests.support.hosts import Log, hosted, make_agent, question
from tests.support.model_calls import make_settings


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    """Serve a provider."""
    async with serve_model_server() as server:
        yield server


def menu_of(resolved: Resolved) -> HermesMenu:
    """Return what a turn may ask."""
    pools = {name: KeyPool(model.keys, model.strategy, lambda: 1000.0) for name, model in resolved.named.items()}
    about = OfflineFacts("coder", "hermes", "namespace")
    return HermesMenu.of(resolved, pools, refused=lambda tool: tool == "terminal", about=about, env_file=Path("/home/.env"))


def model(server: ModelServer, name: str = "test", *keys: str, **changes: object) -> HermesModel:
    """Return a model of a server."""
    return HermesModel("custom", name, server.base_url, "chat_completions", tuple(map(PoolKey, keys)), **changes)  # type: ignore[arg-type]


class Inside:
    """A client in the sandbox of a Hermes agent."""

    def __init__(self, resolved: Resolved, client: httpx.AsyncClient, log: Log) -> None:
        self.named = {name: inside(name, each) for name, each in resolved.named.items()}
        self.log = log
        self._client = client

    async def ask(self, name: str, text: str = "hello", *, path: str = "/chat/completions", **more: object) -> httpx.Response:
        """Ask a model as Hermes would."""
        found = self.named[name]
        header = (
            {"x-api-key": found.api_key}
            if found.api_mode == "anthropic_messages"
            else {"authorization": f"Bearer {found.api_key}"}
        )
        body = question(text, **{"model": found.model, **more})
        return await self._client.post(f"{found.base_url}{path}", json=body, headers=header)


@asynccontextmanager
async def turning(resolved: Resolved) -> AsyncIterator[Inside]:
    """Open the door of a turn with these models."""
    async with ModelBroker(ModelLimits(backoff=0.001)) as broker:
        log = Log()
        async with hosted(broker, make_agent(make_settings()), log, menu=menu_of(resolved)) as (_, client):
            yield Inside(resolved, client, log)


async def test_a_placeholder_chooses_the_model_its_key_and_its_headers(server: ModelServer) -> None:
    """Also where two models have one name."""
    resolved = Resolved(
        model(server, "test", "sk-main", headers={"X-Title": "Hermes"}),
        auxiliary={"vision": model(server, "test", "sk-vision")},
    )
    async with turning(resolved) as turn:
        for name in ("main", "vision"):
            assert (await turn.ask(name)).json()["choices"][0]["message"]["content"] == "echo: hello"
        first, second = server.requests
        assert (first.headers["authorization"], first.headers["x-title"]) == ("Bearer sk-main", "Hermes")
        assert second.headers["authorization"] == "Bearer sk-vision"
        assert "x-title" not in second.headers


async def test_another_model_is_refused(server: ModelServer) -> None:
    """Even one of its own, under a placeholder that stands for another."""
    async with turning(Resolved(model(server, "test", "k1"), auxiliary={"vision": model(server, "small", "k2")})) as turn:
        refused = await turn.ask("main", model="small")
        assert (refused.status_code, server.requests) == (403, [])
        assert "small" in refused.json()["error"]["message"]


@pytest.mark.parametrize("status", [401, 402, 429])
async def test_the_next_key_takes_over_where_one_is_refused(server: ModelServer, status: int) -> None:
    """At once and unseen inside; the key that was refused rests from then on."""
    server.refused["sk-first"] = status
    async with turning(Resolved(model(server, "test", "sk-first", "sk-second"))) as turn:
        for _ in range(2):
            assert (await turn.ask("main")).status_code == 200
        keys = [each.headers["authorization"] for each in server.requests]
        assert keys == ["Bearer sk-first", "Bearer sk-second", "Bearer sk-second"]


async def test_a_refusal_of_every_key_is_told_with_its_status_and_no_key(server: ModelServer) -> None:
    """Hermes inside has rules of its own for what comes next."""
    server.refused |= {"sk-first": 401, "sk-second": 402}
    async with turning(Resolved(model(server, "test", "sk-first", "sk-second"))) as turn:
        answer = await turn.ask("main")
        assert answer.status_code == 402
        assert "sk-" not in answer.text
        assert "wants to be paid" in answer.json()["error"]["message"]


async def test_an_answer_that_repeats_any_key_of_a_pool_is_not_passed_on(server: ModelServer) -> None:
    """Also one that was not used for it."""
    async with turning(Resolved(model(server, "test", "sk-first-key", "sk-second-key"))) as turn:
        answer = await turn.ask("main", "say sk-second-key")
        assert "sk-second-key" not in answer.text
        assert turn.log.last["end"] == "leak"


async def test_anthropics_dialect_and_responses_go_below_any_path(server: ModelServer) -> None:
    """As their addresses outside have it; a login's token goes into Authorization."""
    url = f"{server.url}/anthropic"
    claude = HermesModel("anthropic", "claude", url, "anthropic_messages", (PoolKey("token"),), bearer=True)
    async with turning(Resolved(claude, auxiliary={"mcp": model(server, "test", "k")})) as turn:
        answer = await turn.ask("main", path="/v1/messages", max_tokens=10)
        assert server.requests[0].headers["authorization"] == "Bearer token"
        assert "x-api-key" not in server.requests[0].headers
        assert (server.requests[0].path, answer.status_code) == ("/anthropic/v1/messages", 404)
        await turn.ask("mcp", path="/responses")
        assert server.requests[1].path == "/v1/responses"


async def test_a_server_without_keys_is_sent_none(server: ModelServer) -> None:
    """The placeholder stays inside."""
    async with turning(Resolved(model(server))) as turn:
        await turn.ask("main")
        assert "authorization" not in server.requests[0].headers


async def test_the_builtin_model_answers_here() -> None:
    """As it does everywhere."""
    async with turning(Resolved(OFFLINE)) as turn:
        assert "hello" in (await turn.ask("main")).json()["choices"][0]["message"]["content"]
