"""What an agent's engine is told of its models: addresses at the model host, names, dialects, and a placeholder for each key.

Hermes decides by a provider's host how it asks (which extras OpenRouter takes, where prompts may be cached), so the name of
the real host stays visible in the address inside: `https://openrouter.ai/api/v1` is `http://model.local.openrouter.ai/api/v1`
there. The placeholder says which of the agent's models is meant, because two may have the same name at two providers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.broker.model_host.endpoints import HOST
from hermes_iso.hermes.resolved import HermesModel, Resolved

PLACEHOLDER = "hermes-iso-model-"
"""What the placeholders of model keys begin with; what the model is for follows."""
_LOGIN = "sk-ant-oat01-"
"""How the keys of a login at Anthropic begin: by that the client inside knows what such a request has to look like."""
_HOST_NAME = re.compile(r"(?=.{1,200}\Z)([a-z0-9-]+\.)+[a-z][a-z0-9-]*")
_OWN_KEYS = frozenset({"minimax-oauth", "nous", "openai-codex", "qwen-oauth", "xai-oauth", "copilot", "azure-foundry"})
"""Providers whose clients inside would look for a login of their own: there they are custom ones."""


@dataclass(frozen=True, slots=True)
class ModelInside:
    """One model as the sandbox sees it: what an AIAgent takes, and Hermes' config."""

    provider: str
    model: str
    base_url: str
    api_mode: str
    api_key: str

    def settings(self) -> dict[str, str]:
        """Return it by the names that Hermes has for these."""
        return {
            "provider": self.provider,
            "model": self.model,
            "base_url": self.base_url,
            "api_key": self.api_key,
            "api_mode": self.api_mode,
        }


def inside(name: str, model: HermesModel) -> ModelInside:
    """Return a model as the sandbox sees it. name: what it is for, see Resolved.named."""
    provider = "custom" if model.provider in _OWN_KEYS or model.provider.startswith("custom") else model.provider
    return ModelInside(provider, model.model, _address(model.base_url), model.api_mode, placeholder(name, model))


def placeholder(name: str, model: HermesModel) -> str:
    """Return what stands for a model's key."""
    login = model.bearer and "x-app" in {each.lower() for each in model.headers}
    return f"{_LOGIN if login else ''}{PLACEHOLDER}{name}"


def hosts_inside(resolved: Resolved) -> frozenset[str]:
    """Return the names of the model host that an agent's engine uses."""
    addresses = (urlsplit(_address(model.base_url)).hostname for model in resolved.named.values())
    return frozenset(host for host in addresses if host) | {HOST}


def config_sections(resolved: Resolved, written: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections of the generated config.yaml that are about models; none where there is no main model.

    written: the profile's own config, of which the rest of an auxiliary task's settings (timeout, extra_body) stays. Every task
    is pinned to an address: left to itself Hermes would look for keys that are not there.
    """
    named = resolved.named
    if "main" not in named:
        return {}
    main = inside("main", named["main"])
    length = named["main"].context_length
    sections: dict[str, Any] = {
        "model": {
            "default": main.model,
            **{name: value for name, value in main.settings().items() if name != "model"},
            **({"context_length": length} if length else {}),
        },
        **_fallbacks(resolved),
        "auxiliary": _auxiliary(resolved, main, written.get("auxiliary")),
    }
    if "subagents" in named:
        kept = written.get("delegation")
        own = inside("subagents", named["subagents"]).settings() | {"provider": "custom"}
        sections["delegation"] = {**_without_keys(kept), **own}
    return sections


def _fallbacks(resolved: Resolved) -> dict[str, Any]:
    """Return the sections of fallbacks. Each is a provider by a name of its own: of others Hermes takes no address."""
    found = {name: inside(name, model) for name, model in resolved.named.items() if name.startswith("fallback-")}
    providers = {name: {**each.settings(), "name": name} for name, each in found.items()}
    for each in providers.values():
        each.pop("provider")
        if each["api_mode"] == "anthropic_messages":  # by this ending Hermes tells the dialect of a fallback
            each["base_url"] = each["base_url"].removesuffix("/anthropic") + "/anthropic"
    chain = [{"provider": f"custom:{name}", "model": each.model} for name, each in found.items()]
    return {"providers": providers, "fallback_providers": chain} if chain else {}


def _auxiliary(resolved: Resolved, main: ModelInside, written: Any) -> dict[str, Any]:
    """Return the section of auxiliary models: each where it was resolved to, the others at the main model."""
    kept = written if isinstance(written, dict) else {}
    sections: dict[str, Any] = {name: value for name, value in kept.items() if not isinstance(value, dict)}
    for task in dict.fromkeys((*AUXILIARY_TASKS, *resolved.auxiliary, *(name for name in kept if name not in sections))):
        found = resolved.auxiliary.get(task)
        model = inside(task, found) if isinstance(found, HermesModel) else main
        sections[str(task)] = {**_without_keys(kept.get(task)), **model.settings(), "provider": "custom"}
    return sections


AUXILIARY_TASKS = (
    "vision", "web_extract", "compression", "skills_hub", "approval", "mcp", "title_generation", "memory_query_rewrite",
    "tts_audio_tags", "triage_specifier", "kanban_decomposer", "profile_describer", "goal_judge", "curator", "monitor",
    "background_review", "moa_reference", "moa_aggregator",
)  # fmt: skip
"""The tasks for which Hermes asks a model beside its main loop."""
_KEPT = frozenset(
    {"enabled", "timeout", "extra_body", "reasoning_effort", "language", "download_timeout", "inherit_mcp_toolsets"}
    | {"max_iterations", "max_summary_chars", "child_timeout_seconds", "max_concurrent_children", "max_spawn_depth"}
    | {"orchestrator_enabled", "subagent_auto_approve"}
)


def _without_keys(section: Any) -> dict[str, Any]:
    """Return of a section what says nothing about where a model is."""
    return {name: value for name, value in section.items() if name in _KEPT} if isinstance(section, dict) else {}


def _address(base_url: str) -> str:
    """Return where a model is to be asked inside, for its address outside."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").lower()
    query = f"?{parts.query}" if parts.query else ""
    return f"http://{HOST}{'.' + host if _HOST_NAME.fullmatch(host) else ''}{parts.path.rstrip('/')}{query}"
