"""What the helper says is taken as data, in bounds, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hermes_iso.hermes.resolved import HermesModel, PoolKey, ResolverFaultError, Unusable, read_answer

MODEL: dict[str, Any] = {
    "provider": "openrouter",
    "model": "vendor/name",
    "base_url": "https://openrouter.ai/api/v1",
    "api_mode": "chat_completions",
    "scheme": "bearer",
    "headers": {"X-Title": "Hermes Agent"},
    "keys": [{"id": "a", "key": "sk-first", "until": None}, {"id": "b", "key": "sk-second", "until": 12.5}],
    "strategy": "round_robin",
    "expires_at": None,
    "context_length": 200_000,
}
FAILED: dict[str, Any] = {"error": {"kind": "missing", "sentence": "No key\x1b[31m is\nset.", "provider": "zai"}}
ANSWER: dict[str, Any] = {"version": "0.19.0", "main": MODEL, "fallbacks": [], "auxiliary": {}, "subagents": None, "auth": {}}


def answer(**changes: Any) -> bytes:
    """Return a helper's answer."""
    return json.dumps(ANSWER | changes).encode()


def test_a_model_is_read_with_its_keys_and_headers() -> None:
    """All that the gateway needs to ask it, and none of its keys in a repr."""
    found = read_answer(answer()).main
    assert found == HermesModel(
        "openrouter",
        "vendor/name",
        "https://openrouter.ai/api/v1",
        "chat_completions",
        (PoolKey("sk-first"), PoolKey("sk-second", 12.5)),
        headers={"X-Title": "Hermes Agent"},
        strategy="round_robin",
        context_length=200_000,
    )
    assert "sk-first" not in repr(found)


def test_a_failure_is_one_printable_line() -> None:
    """Hermes' own words may hold line breaks and colours."""
    assert read_answer(answer(main=FAILED)).main == Unusable("missing", "No key [31m is set", "zai")


def test_models_are_named_by_what_they_are_for() -> None:
    """Those that can't be used have no name; numbers of fallbacks stay."""
    resolved = read_answer(answer(fallbacks=[FAILED, MODEL], auxiliary={"vision": MODEL, "mcp": FAILED}, subagents=MODEL))
    assert list(resolved.named) == ["main", "fallback-2", "subagents", "vision"]


def test_the_first_login_to_end_is_told() -> None:
    """By it the gateway knows when to ask again."""
    assert read_answer(answer(main=MODEL | {"expires_at": 9.0}, fallbacks=[MODEL | {"expires_at": 5.0}])).expires_at == 5.0


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"main": MODEL | {"base_url": "ftp://files.example/"}}, "main"),
        ({"main": MODEL | {"base_url": "http://a b"}}, "main"),
        ({"main": MODEL | {"api_mode": "bedrock_converse"}}, "main"),
        ({"main": MODEL | {"model": "a\nb"}}, "main"),
        ({"main": MODEL | {"headers": {"x": "a\r\nb: c"}}}, "main"),
        ({"main": MODEL | {"keys": [{"id": "a", "key": "k", "until": "soon"}]}}, "main"),
        ({"main": MODEL | {"command": "/bin/sh"}}, "main"),
        ({"main": None}, "main"),
        ({"fallbacks": [MODEL] * 33}, "fallbacks"),
        ({"more": 1}, "more"),
    ],
)
def test_another_form_is_refused_without_its_contents(changes: dict[str, Any], place: str) -> None:
    """The place is named; a value could be a key."""
    with pytest.raises(ResolverFaultError, match=place) as caught:
        read_answer(answer(**changes))
    assert "sk-first" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"hello", b"\xff", b"[" * 100_000, b'{"main":'])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    """Whatever a broken package prints."""
    with pytest.raises(ResolverFaultError):
        read_answer(raw)
