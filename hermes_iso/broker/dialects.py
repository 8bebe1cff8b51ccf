"""The dialects that providers speak: where a question goes, with which headers and body, and who reads the answer. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.anthropic import AnthropicReader, anthropic_body, anthropic_headers, anthropic_url
from hermes_iso.broker.calls import JsonObject, ModelCall
from hermes_iso.broker.openai import OpenAIReader, openai_body, openai_headers, openai_url
from hermes_iso.broker.upstream import AnswerReader


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of provider is spoken to."""

    url: Callable[[str], str]
    headers: Callable[[ModelSettings], dict[str, str]]
    body: Callable[[ModelCall], JsonObject]
    reader: Callable[[], AnswerReader]


OPENAI = Dialect(openai_url, openai_headers, openai_body, OpenAIReader)
OPENAI_PLAIN = Dialect(openai_url, openai_headers, partial(openai_body, with_usage=False), OpenAIReader)
"""For servers that refuse `stream_options`."""
ANTHROPIC = Dialect(anthropic_url, anthropic_headers, anthropic_body, AnthropicReader)
