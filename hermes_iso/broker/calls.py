"""The values of a model call: what is asked, what comes back, and the bounds of one exchange with a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from hermes_iso.agents import ModelSettings
from hermes_iso.messages import Usage

JsonObject: TypeAlias = dict[str, Any]
OnText: TypeAlias = Callable[[str], Awaitable[None]]
"""Takes a piece of the answer's text as it is made; pieces are at most PIECE characters and never empty."""

PIECE = 1 << 16
"""Most characters handed to OnText at once: in the worst escaping still less than half a frame of the wire."""


class OfferedTool(Protocol):
    """A tool as a model is told of it; `hermes_iso.tools.ToolSpec` is one."""

    @property
    def name(self) -> str:
        """The name the model calls it by."""

    @property
    def description(self) -> str:
        """What it does, for the model."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The JSON schema of its arguments, an object."""


@dataclass(frozen=True, slots=True)
class OfflineFacts:
    """Who answers, for the built-in model to say."""

    agent: str
    engine: str
    isolation: str


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request to a model. Only `messages` stems from a guest, and only after `check_messages`.

    deadline: by trio's clock; the call ends there with kind `timeout`, retries included. fallbacks: who is asked, in this
    order, when the model of the settings does not answer.
    """

    settings: ModelSettings
    messages: list[JsonObject]
    tools: tuple[OfferedTool, ...]
    deadline: float
    about: OfflineFacts
    fallbacks: tuple[ModelSettings, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What the model said.

    message: {"role": "assistant", "content": text or None, "tool_calls": [...] where there are any}, and nothing else.
    finish_reason: stop, length, tool_calls or content_filter. usage: zeros where the provider does not tell.
    model: the name of the one that said it.
    """

    message: JsonObject
    finish_reason: str
    usage: Usage
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """Bounds of one exchange with a provider: seconds and bytes.

    read_timeout: longest silence between two pieces of an answer, the first included.
    tries: requests at most for one call. backoff: ceiling of the first random wait; it doubles up to backoff_cap.
    retry_after_cap: a provider that asks for a longer wait is not waited for.
    event_bytes, document_bytes, answer_bytes: longest event of a stream, longest unstreamed answer, most bytes in all.
    message_bytes: longest answer as JSON once assembled: it must fit in one frame to the guest.
    text_interval: least time between two calls of OnText; a guest may send only so many events in a turn.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 120.0
    tries: int = 3
    backoff: float = 0.5
    backoff_cap: float = 8.0
    retry_after_cap: float = 30.0
    event_bytes: int = 1 << 20
    document_bytes: int = 4 << 20
    answer_bytes: int = 16 << 20
    message_bytes: int = 960 << 10
    text_interval: float = 0.05
