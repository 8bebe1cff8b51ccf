"""The paths of the model host: which there are, in which dialect, and where at the provider they lead. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hermes_iso.agents import ApiMode, ModelSettings
from hermes_iso.broker.anthropic import anthropic_headers, anthropic_url
from hermes_iso.broker.calls import JsonObject
from hermes_iso.broker.openai import openai_headers, openai_url

HOST = "model.local"
"""What the model host is called inside of a sandbox."""
Dialect: TypeAlias = Literal["OpenAI", "Anthropic"]
_DIALECTS: Mapping[ApiMode, Dialect] = {
    "chat_completions": "OpenAI",
    "anthropic_messages": "Anthropic",
    "offline": "OpenAI",
}
_URLS: Mapping[Dialect, Callable[[str, str], str]] = {"OpenAI": openai_url, "Anthropic": anthropic_url}
_HEADERS: Mapping[Dialect, Callable[[ModelSettings], dict[str, str]]] = {
    "OpenAI": openai_headers,
    "Anthropic": anthropic_headers,
}
_PATHS: Mapping[Dialect, tuple[str, ...]] = {
    "OpenAI": ("/chat/completions", "/responses", "/embeddings"),
    "Anthropic": ("/messages", "/messages/count_tokens"),
}
_QUERIES = frozenset({"beta=true"})
"""Queries that go on to the provider: the one that Anthropic's own client sends."""
_PASSED_ON = frozenset({"accept", "anthropic-version", "anthropic-beta", "openai-beta"})
"""Headers of a guest that say how to answer, and nothing of who asks. An idempotency key is not among them: by one that it
guesses, an agent could have the answer that a provider keeps for another agent of the same account."""
_PASSED_BACK = frozenset(
    {"content-type", "content-length", "retry-after", "retry-after-ms", "request-id", "x-request-id", "x-should-retry"}
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path of the model host, below /v1. query: what of the request's goes on."""

    dialect: Dialect
    path: str
    query: str = ""

    def serves(self, settings: ModelSettings) -> bool:
        """Say whether a model is spoken to in this dialect, and has this path."""
        return dialect_of(settings) == self.dialect and (settings.api_mode != "offline" or self.path == "/chat/completions")

    def url(self, settings: ModelSettings) -> str:
        """Return the path's address at a model's provider."""
        url = _URLS[self.dialect](settings.base_url, self.path)
        return f"{url}{'&' if '?' in url else '?'}{self.query}" if self.query else url

    def headers(self, settings: ModelSettings, asked: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request: of the guest's those that are harmless, then the provider's own and the key."""
        passed = {name: value for name, value in asked.items() if name in _PASSED_ON}
        own = {name.lower(): value for name, value in settings.headers.items()}
        theirs = _HEADERS[self.dialect](settings)
        if "anthropic-version" in passed:
            theirs.pop("anthropic-version", None)
        return {**passed, **own, **theirs, "content-type": "application/json", "accept-encoding": "identity"}


def key_headers(settings: ModelSettings) -> dict[str, str]:
    """Return the headers that carry a model's key, and those that its dialect needs."""
    return _HEADERS[dialect_of(settings)](settings)


def dialect_of(settings: ModelSettings) -> Dialect:
    """Return how a model is spoken to."""
    return _DIALECTS[settings.api_mode]


def find_endpoint(method: str, target: str, *, below: bool = False) -> Endpoint | None:
    """Return the endpoint that a request is for, or None. below: whether it may lie below any path, as at its provider."""
    path, _, query = target.partition("?")
    if below:
        path = next((f"/v1{end}" for ends in _PATHS.values() for end in ends if path.endswith(end)), path)
    for dialect, paths in _PATHS.items():
        if method == "POST" and path.startswith("/v1/") and path[3:] in paths:
            return Endpoint(dialect, path[3:], query if query in _QUERIES else "")
    return None


def served_paths(models: Mapping[str, ModelSettings]) -> str:
    """Return the paths that a request with one of these models can go to, for people."""
    endpoints = (Endpoint(dialect, path) for dialect, paths in _PATHS.items() for path in paths)
    served = [each.path for each in endpoints if any(each.serves(settings) for settings in models.values())]
    return ", ".join(("GET /v1/models", *(f"POST /v1{path}" for path in served)))


def passed_back(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return the headers of a provider's answer that a guest gets."""
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items() if name in _PASSED_BACK]


def error_body(dialect: Dialect, kind: str, sentence: str, more: Mapping[str, object] | None = None) -> bytes:
    """Return an error in the shape that clients of a dialect read."""
    error: JsonObject = {"message": sentence, "type": kind}
    value: JsonObject = {"type": "error", "error": error}
    if dialect == "OpenAI":
        value = {"error": error | {"param": None, "code": None} | dict(more or {})}
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
