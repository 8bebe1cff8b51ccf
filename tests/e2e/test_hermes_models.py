"""Hermes' own resolver, asked by the real helper in its sandbox, and its answer used against providers on 127.0.0.1."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.errors import ModelError
from hermes_iso.hermes.models import HermesModels
from hermes_iso.hermes.profile import HermesProfile
from hermes_iso.hermes.resolved import HermesModel, Unusable
from tests.servers.model_server import Http, ModelServer, serve_model_server
from tests.support.hermes_package import HERMES_PYTHON, needs_hermes
from tests.unit.hermes.test_menu import turning

pytestmark = [needs_hermes, pytest.mark.sandbox]
OPENROUTER = {
    "config.yaml": """
model: {default: anthropic/claude-opus-4.6, provider: openrouter, context_length: 150000}
credential_pool_strategies: {openrouter: round_robin}
fallback_providers: [{provider: anthropic, model: claude-sonnet-4-5}, {provider: openai, model: gpt-4o}]
auxiliary:
  compression: {provider: openrouter, model: google/gemini-flash}
  vision: {provider: bedrock, model: nova}
""",
    ".env": "OPENROUTER_API_KEY=sk-or-environment\nANTHROPIC_API_KEY=sk-ant-api03-written\nOPENAI_API_KEY=sk-proj-written\n",
    "auth.json": json.dumps(
        {
            "version": 1,
            "providers": {},
            "credential_pool": {
                "openrouter": [
                    {"id": "b", "auth_type": "api_key", "priority": 5, "source": "manual", "access_token": "sk-or-pool"}
                ]
            },
        }
    ),
}


def home(place: Path, files: dict[str, str], **changes: Any) -> HermesProfile:
    """Make a root home of these files."""
    for name, text in files.items():
        (place / name).write_text(text)
        (place / name).chmod(0o600)
    return HermesProfile("main", place, place, HERMES_PYTHON, **changes)


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    """Serve a provider."""
    async with serve_model_server() as server:
        yield server


async def test_a_profile_of_openrouter_is_resolved_as_hermes_does(tmp_path: Path) -> None:
    """A pool of two keys, the headers of Hermes' clients, fallbacks in their dialects, auxiliary models; the home stays."""
    profile = home(tmp_path, OPENROUTER)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    resolved = (await HermesModels().of(profile)).resolved
    main = resolved.main
    assert isinstance(main, HermesModel)
    assert (main.provider, main.model, main.base_url) == (
        "openrouter",
        "anthropic/claude-opus-4.6",
        "https://openrouter.ai/api/v1",
    )
    assert {each.key for each in main.keys} == {"sk-or-environment", "sk-or-pool"}
    assert (main.strategy, main.context_length) == ("round_robin", 150_000)
    assert {"HTTP-Referer", "X-Title", "x-anthropic-beta"} <= set(main.headers)
    claude, gpt = resolved.fallbacks
    assert isinstance(claude, HermesModel)
    assert isinstance(gpt, HermesModel)
    assert (claude.provider, claude.api_mode, claude.keys[0].key) == ("anthropic", "anthropic_messages", "sk-ant-api03-written")
    assert (gpt.base_url, gpt.api_mode, gpt.keys[0].key) == ("https://api.openai.com/v1", "codex_responses", "sk-proj-written")
    assert resolved.named["compression"].model == "google/gemini-flash"
    assert len(resolved.named["compression"].keys) == 2
    vision = resolved.auxiliary["vision"]
    assert isinstance(vision, Unusable)
    assert (vision.kind, vision.provider) == ("refused", "bedrock")
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "auth.lock"}
    assert after == before


async def test_a_custom_provider_is_asked_with_its_key(tmp_path: Path, server: ModelServer) -> None:
    """With the headers that the config has for it, which no sandbox sees; its auxiliary model goes to its own address."""
    config = f"""
model: {{default: test, provider: custom, base_url: "{server.base_url}", api_key: sk-custom, default_headers: {{X-Team: blue}}}}
auxiliary: {{title_generation: {{base_url: "{server.base_url}", api_key: sk-title, model: small}}}}
"""
    known = await HermesModels().of(home(tmp_path, {"config.yaml": config}))
    assert "sk-" not in json.dumps(known.sections()).replace("sk-ant-oat01", "")
    async with turning(known.resolved) as turn:
        assert (await turn.ask("main")).status_code == 200
        assert (await turn.ask("title_generation")).status_code == 200
    first, second = server.requests
    assert (first.headers["authorization"], first.headers["x-team"]) == ("Bearer sk-custom", "blue")
    assert (second.headers["authorization"], second.body["model"]) == ("Bearer sk-title", "small")


async def test_a_named_provider_in_anthropics_dialect_is_asked_in_it(tmp_path: Path, server: ModelServer) -> None:
    """As an entry of custom_providers says, with the key that its name in `.env` has."""
    config = f"""
model: {{default: claude, provider: custom:mine}}
custom_providers: [{{name: mine, base_url: "{server.url}", key_env: MY_KEY, api_mode: anthropic_messages}}]
"""
    known = await HermesModels().of(home(tmp_path, {"config.yaml": config, ".env": "MY_KEY=sk-mine\n"}))
    async with turning(known.resolved) as turn:
        answer = await turn.ask("main", path="/v1/messages", max_tokens=10)
    assert answer.json()["content"][0]["text"] == "echo: hello"
    assert server.requests[0].headers["x-api-key"] == "sk-mine"


@pytest.mark.parametrize(
    ("model", "env", "kind", "said"),
    [
        ("{default: nova, provider: bedrock}", "", "config", "Provider bedrock can't be carried: it signs"),
        ("{default: gemini, provider: google-vertex}", "", "config", "Provider vertex can't be carried"),
        ("{default: x, provider: nonsense}", "", "config", "Unknown provider 'nonsense'"),
        ("{default: glm-5, provider: zai}", "", "auth", r"No usable credentials .* GLM_API_KEY.*; see .*/\.env\.$"),
        ("{default: a/b, provider: openrouter}", "", "auth", "set OPENROUTER_API_KEY"),
        ("{provider: openrouter}", "OPENROUTER_API_KEY=sk-or-x\n", "auth", "No model is named"),
    ],
)
async def test_what_cant_be_used_is_said_in_one_sentence(tmp_path: Path, model: str, env: str, kind: str, said: str) -> None:
    """With the provider's name, and where to mend it."""
    with pytest.raises(ModelError, match=said) as caught:
        await HermesModels().of(home(tmp_path, {"config.yaml": f"model: {model}\n", ".env": env}))
    assert caught.value.kind == kind
    assert "\n" not in str(caught.value)


class Login:
    """A login service: gives a new token for the old one, once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one connection."""
        http = Http(stream)
        while (request := await http.read_request()) is not None:
            self.asked.append((request.path, str(request.body)))
            tokens = {"access_token": "new-access", "refresh_token": "new-refresh", "expired_in": 3600}
            await http.send_json(200, {"status": "success", **tokens})
            if not http.next_cycle():
                break


async def test_a_login_is_renewed_once_and_the_new_tokens_are_kept(tmp_path: Path) -> None:
    """Through the helper's door, which leads to login services alone; the file keeps its mode, and its other contents."""
    state = {
        "portal_base_url": "http://login.example", "inference_base_url": "https://api.minimax.io/anthropic", "client_id": "me",
        "access_token": "old-access", "refresh_token": "old-refresh", "expires_at": "2020-01-01T00:00:00+00:00",
    }  # fmt: skip
    stored = {"version": 1, "providers": {"minimax-oauth": state, "other": {"kept": True}}}
    files = {"config.yaml": "model: {default: MiniMax-M2, provider: minimax-oauth}\n", "auth.json": json.dumps(stored)}
    login = Login()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            lambda task_status: trio.serve_tcp(login.serve, 0, host="127.0.0.1", task_status=task_status)
        )
        port = listeners[0].socket.getsockname()[1]
        profile = home(tmp_path, files, resolve={"login.example": Endpoint("127.0.0.1", port)})
        (tmp_path / "auth.json").chmod(0o640)
        models = HermesModels()
        for _ in range(2):
            main = (await models.of(profile)).main
        nursery.cancel_scope.cancel()
    assert [path for path, _ in login.asked] == ["/oauth/token"]
    assert "old-refresh" in login.asked[0][1]
    assert (main.keys[0].key, main.bearer, main.api_mode) == ("new-access", True, "anthropic_messages")
    assert main.expires_at is not None
    kept = json.loads((tmp_path / "auth.json").read_text())["providers"]
    assert kept["minimax-oauth"]["refresh_token"] == "new-refresh"
    assert kept["other"] == {"kept": True}
    assert os.stat(tmp_path / "auth.json").st_mode & 0o777 == 0o640
