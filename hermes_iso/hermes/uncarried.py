"""Which model providers of a Hermes home can't be carried here, by name and with the reason; for who looks before adopting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

UNCARRIED: Mapping[str, str] = {
    "bedrock": "AWS' SDK signs each request, so no key can be put in outside of the sandbox",
    "vertex": "Google's SDK makes short-lived tokens from a credentials file",
    "copilot-acp": "it is a program of its own and no HTTP service",
    "moa": "it is a mixture of other models and has no address",
}
"""Hermes' providers whose requests can't be made with a key that the gateway puts in."""
_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("aws", "aws-bedrock", "amazon-bedrock", "amazon"), "bedrock"),
    **dict.fromkeys(("google-vertex", "vertex-ai", "gcp-vertex", "vertexai"), "vertex"),
    **dict.fromkeys(("github-copilot-acp", "copilot-acp-agent"), "copilot-acp"),
}


def uncarried_providers(config: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    """Return (key, provider, why) for each provider that a config.yaml of Hermes' names and that is refused here.

    key: where it stands, such as auxiliary.vision.provider.
    """
    return tuple(
        (key, name, UNCARRIED[name]) for key, said in _named(config) if (name := _ALIASES.get(said, said)) in UNCARRIED
    )


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every place that names a provider, with the name."""
    sections: list[tuple[str, Any]] = [("model", config.get("model")), ("delegation", config.get("delegation"))]
    for key in ("fallback_providers", "fallback_model"):
        value = config.get(key)
        entries = value if isinstance(value, list) else [value]
        sections += [(f"{key}[{index}]" if isinstance(value, list) else key, entry) for index, entry in enumerate(entries)]
    auxiliary = config.get("auxiliary")
    sections += [(f"auxiliary.{task}", said) for task, said in auxiliary.items()] if isinstance(auxiliary, dict) else []
    for key, section in sections:
        said = section.get("provider") if isinstance(section, dict) else None
        if isinstance(said, str):
            yield f"{key}.provider", said.strip().lower()
