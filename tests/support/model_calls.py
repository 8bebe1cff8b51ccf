"""Model calls for tests: settings, tools and a listener, with the least that a test has to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import trio

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.models import ModelCall, OfflineFacts

KEY = "sk-test-0123456789"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as a model is told of it."""

    name: str
    description: str = "A tool."
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


class Listener:
    """Keeps the text that a call streams: `pieces` as they came, `text` as a whole."""

    def __init__(self) -> None:
        self.pieces: list[str] = []

    async def __call__(self, text: str) -> None:
        self.pieces.append(text)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def make_settings(base_url: str = "", **changes: Any) -> ModelSettings:
    """Return settings of an OpenAI-compatible provider, or, without an address, of the built-in model."""
    if not base_url:
        return ModelSettings("builtin", "offline", "", "offline")
    values: dict[str, Any] = {"provider": "custom", "model": "test", "api_mode": "chat_completions", "api_key": KEY}
    values |= {"key_hint": "CUSTOM_API_KEY in /srv/home/.env", "base_url": base_url}
    return ModelSettings(**(values | changes))


def make_call(
    text: str, *, settings: ModelSettings | None = None, tools: tuple[str, ...] = (), seconds: float = 30.0, **changes: Any
) -> ModelCall:
    """Return a call whose only message is the user's, unless `messages` says otherwise."""
    values: dict[str, Any] = {
        "settings": settings or make_settings(),
        "messages": [{"role": "user", "content": text}],
        "tools": tuple(Tool(name) for name in tools),
        "deadline": trio.current_time() + seconds,
        "about": OfflineFacts("coder", "native", "namespace"),
    }
    return ModelCall(**(values | changes))
