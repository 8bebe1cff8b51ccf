"""What a sandbox is told of models: never a key, never an address outside, and still enough for Hermes to ask rightly."""

from __future__ import annotations

import json

import pytest

from hermes_iso.hermes.model_inside import AUXILIARY_TASKS, config_sections, hosts_inside, inside
from hermes_iso.hermes.resolved import HermesModel, PoolKey, Resolved, Unusable

OPENROUTER = HermesModel(
    "openrouter",
    "anthropic/claude",
    "https://openrouter.ai/api/v1",
    "chat_completions",
    (PoolKey("sk-or-real"),),
    headers={"X-Secret": "header-secret"},
    context_length=123_456,
)
ANTHROPIC = HermesModel("anthropic", "claude", "https://api.anthropic.com", "anthropic_messages", (PoolKey("sk-ant-real"),))
LOCAL = HermesModel("custom", "small", "http://127.0.0.1:8080/v1", "chat_completions")


@pytest.mark.parametrize(
    ("outside", "expected"),
    [
        ("https://openrouter.ai/api/v1", "http://model.local.openrouter.ai/api/v1"),
        ("https://API.Anthropic.com", "http://model.local.api.anthropic.com"),
        ("https://chatgpt.com/backend-api/codex/", "http://model.local.chatgpt.com/backend-api/codex"),
        ("http://127.0.0.1:8080/v1", "http://model.local/v1"),
        ("http://[::1]:8080/v1", "http://model.local/v1"),
        ("http://gpu:8080/v1", "http://model.local/v1"),
        ("https://x.openai.azure.com/openai?api-version=1", "http://model.local.x.openai.azure.com/openai?api-version=1"),
    ],
)
def test_an_address_inside_leads_to_the_model_host_and_names_the_provider(outside: str, expected: str) -> None:
    """Hermes goes by the host's name in much that it does; the port and the scheme are the gateway's."""
    assert inside("main", HermesModel("custom", "m", outside, "chat_completions")).base_url == expected


def test_a_placeholder_names_what_the_model_is_for() -> None:
    """A login at Anthropic is to be seen by the key's form, because the client inside goes by that."""
    login = HermesModel(
        "anthropic", "claude", "https://api.anthropic.com", "anthropic_messages", bearer=True, headers={"x-app": "cli"}
    )
    assert inside("vision", OPENROUTER).api_key == "hermes-iso-model-vision"
    assert inside("main", login).api_key == "sk-ant-oat01-hermes-iso-model-main"


def test_a_provider_with_a_login_of_its_own_is_a_custom_one_inside() -> None:
    """Its client would look for the login, which is not there."""
    codex = HermesModel("openai-codex", "gpt", "https://chatgpt.com/backend-api/codex", "codex_responses")
    assert (inside("main", codex).provider, inside("main", OPENROUTER).provider) == ("custom", "openrouter")


def test_the_generated_sections_hold_no_key_and_lead_nowhere_but_to_the_model_host() -> None:
    """Whatever the profile's own config says."""
    resolved = Resolved(OPENROUTER, (ANTHROPIC, Unusable("missing", "no key")), {"vision": LOCAL}, ANTHROPIC)
    written = {
        "auxiliary": {
            "vision": {"api_key": "written-secret", "base_url": "https://v.example/v1", "timeout": 7},
            "compression": {"provider": "auto", "timeout": 9, "extra_body": {"a": 1}},
            "transient_retries": 5,
        },
        "delegation": {"api_key": "written-secret", "max_iterations": 3},
    }
    sections = config_sections(resolved, written)
    text = json.dumps(sections)
    for secret in ("sk-or-real", "sk-ant-real", "header-secret", "written-secret", "v.example", "https://"):
        assert secret not in text
    assert sections["model"] == {
        "default": "anthropic/claude",
        "provider": "openrouter",
        "base_url": "http://model.local.openrouter.ai/api/v1",
        "api_key": "hermes-iso-model-main",
        "api_mode": "chat_completions",
        "context_length": 123_456,
    }
    auxiliary = sections["auxiliary"]
    assert set(AUXILIARY_TASKS) <= set(auxiliary)
    assert auxiliary["transient_retries"] == 5
    assert auxiliary["vision"] == {
        "timeout": 7, "provider": "custom", "model": "small", "base_url": "http://model.local/v1",
        "api_key": "hermes-iso-model-vision", "api_mode": "chat_completions",
    }  # fmt: skip
    assert auxiliary["compression"]["model"] == "anthropic/claude"
    assert (auxiliary["compression"]["timeout"], auxiliary["compression"]["extra_body"]) == (9, {"a": 1})
    assert sections["fallback_providers"] == [{"provider": "custom:fallback-1", "model": "claude"}]
    assert sections["providers"]["fallback-1"]["api_mode"] == "anthropic_messages"
    assert (sections["delegation"]["max_iterations"], sections["delegation"]["model"]) == (3, "claude")


def test_without_a_main_model_nothing_is_told() -> None:
    """The turn says why."""
    assert config_sections(Resolved(Unusable("missing", "no key")), {}) == {}


def test_the_model_host_answers_to_every_name_in_use() -> None:
    """And to its own."""
    names = hosts_inside(Resolved(OPENROUTER, (LOCAL, ANTHROPIC)))
    assert names == {"model.local", "model.local.openrouter.ai", "model.local.api.anthropic.com"}
