"""Describe one model as data, from what Hermes' resolver says of it: address, dialect, keys, and the headers of its clients."""

from __future__ import annotations

from typing import Any

UNCARRIED = {
    "bedrock": "signs every request with the AWS SDK",
    "vertex": "takes short-lived tokens of Google's SDK",
    "copilot-acp": "is a program of its own and no HTTP service",
    "moa": "is a mixture of other models",
}
"""Providers whose requests can't be made with a key that is put in outside, and why."""
UNCARRIED_MODES = {"bedrock_converse": "bedrock", "codex_app_server": "the codex app server"}
NO_KEY = frozenset({"", "no-key-required", "aws-sdk", "dummy-lm-api-key", "lm-studio"})
"""What Hermes writes where a server needs no key."""

INSIDE = frozenset({"anthropic-beta", "anthropic-version"})
"""Headers that depend on the request and come with it, from Hermes' client inside."""


class ResolveError(Exception):
    """A model can't be used. kind: refused, missing, or failed."""

    def __init__(self, kind: str, sentence: str, provider: str = "") -> None:
        super().__init__(sentence)
        self.kind = kind
        self.provider = provider


def described(
    *, provider: str, model: str, base_url: str, mode: str, key: Any, pool: Any = None, headers: Any = None
) -> dict[str, Any]:
    """Return one model as data. Raises ResolveError where it can't be carried."""
    name = UNCARRIED_MODES.get(mode, provider)
    if name in UNCARRIED or mode in UNCARRIED_MODES or callable(key):
        why = UNCARRIED.get(name, "makes its tokens by an SDK" if callable(key) else "is no HTTP service")
        raise ResolveError("refused", f"Provider {name} can't be carried: it {why}", name)
    keys = pool_keys(pool) or [{"id": "key", "key": text, "until": None} for text in (plain_key(key),) if text not in NO_KEY]
    if "generativelanguage.googleapis.com" in base_url and not base_url.rstrip("/").endswith("/openai"):
        base_url = base_url.rstrip("/") + "/openai"
    first = keys[0]["key"] if keys else ""
    scheme, sent = headers_of(provider, normalized(model, provider), base_url, mode, first)
    scheme = "bearer" if provider == "minimax-oauth" else scheme
    return {
        "provider": provider,
        "model": normalized(model, provider),
        "base_url": base_url.rstrip("/"),
        "api_mode": mode,
        "scheme": scheme,
        "headers": {each: str(value) for each, value in {**sent, **(headers or {})}.items() if each.lower() not in INSIDE},
        "keys": keys,
        "strategy": str(getattr(pool, "_strategy", "fill_first")),
        "expires_at": None,
        "context_length": None,
    }


def pool_with(provider: str, key: str) -> Any:
    """Return the pool of a provider's keys that holds this one, or None."""
    from agent.credential_pool import load_pool

    pool = load_pool(provider) if key not in NO_KEY else None
    return pool if pool is not None and any(each["key"] == key for each in pool_keys(pool)) else None


def plain_key(key: Any) -> str:
    """Return a key that is text, and nothing for one that is made anew for each request."""
    return key.strip() if isinstance(key, str) else ""


def pool_keys(pool: Any) -> list[dict[str, Any]]:
    """Return the keys of a pool in its order; `until`: Unix time up to which one is not to be used."""
    from agent.credential_pool import STATUS_DEAD, STATUS_EXHAUSTED, _exhausted_until

    found: list[dict[str, Any]] = []
    for entry in pool.entries() if pool is not None else ():
        key = plain_key(entry.runtime_api_key)
        if key and entry.last_status != STATUS_DEAD and key not in {each["key"] for each in found}:
            until = _exhausted_until(entry) if entry.last_status == STATUS_EXHAUSTED else None
            found.append({"id": str(entry.id), "key": key, "until": until})
    return found


def headers_of(provider: str, model: str, base_url: str, mode: str, key: str) -> tuple[str, dict[str, str]]:
    """Return how the key is sent, and the headers that Hermes' own clients add for this address."""
    if mode == "anthropic_messages":
        return anthropic_headers(base_url, key)
    kwargs: dict[str, Any] = {"default_headers": host_headers(provider, base_url, key)}
    if "openrouter.ai" in base_url and "claude" in model.lower():
        kwargs["default_headers"]["x-anthropic-beta"] = "fine-grained-tool-streaming-2025-05-14"
    from agent.auxiliary_client import _apply_user_default_headers
    from hermes_cli.config import apply_custom_provider_extra_headers_to_client_kwargs

    kwargs["default_headers"] = _apply_user_default_headers(kwargs["default_headers"]) or {}
    apply_custom_provider_extra_headers_to_client_kwargs(kwargs, base_url)
    return "bearer", {str(name): str(value) for name, value in kwargs["default_headers"].items()}


def host_headers(provider: str, base_url: str, key: str) -> dict[str, Any]:
    """Return what Hermes sends along to a host that asks for it."""
    from agent import auxiliary_client as clients
    from utils import base_url_host_matches

    if base_url_host_matches(base_url, "openrouter.ai"):
        return dict(clients.build_or_headers())
    if base_url_host_matches(base_url, "integrate.api.nvidia.com"):
        return dict(clients.build_nvidia_nim_headers(base_url))
    if base_url_host_matches(base_url, "githubcopilot.com"):
        from hermes_cli.models import copilot_default_headers

        return dict(copilot_default_headers())
    if base_url_host_matches(base_url, "api.kimi.com"):
        return {"User-Agent": "claude-code/0.1.0"}
    if base_url_host_matches(base_url, "chatgpt.com"):
        return dict(clients._codex_cloudflare_headers(key))
    if base_url_host_matches(base_url, "portal.qwen.ai"):
        import run_agent

        return dict(run_agent._qwen_portal_headers())
    from providers import get_provider_profile

    profile = get_provider_profile(provider)
    return dict(profile.default_headers or {}) if profile else {}


def anthropic_headers(base_url: str, key: str) -> tuple[str, dict[str, str]]:
    """Return the same for Anthropic's dialect; what it names its beta features by, the client inside says itself."""
    from agent import anthropic_adapter as adapter

    if adapter._is_kimi_coding_endpoint(base_url):
        return "x-api-key", {"user-agent": "claude-code/0.1.0"}
    if adapter._requires_bearer_auth(base_url):
        return "bearer", {}
    if not adapter._is_third_party_anthropic_endpoint(base_url) and key and adapter._is_oauth_token(key):
        version = adapter._get_claude_code_version()
        return "bearer", {"user-agent": f"claude-code/{version} (external, cli)", "x-app": "cli"}
    return "x-api-key", {}


def normalized(model: str, provider: str) -> str:
    """Return a model's name as its provider calls it."""
    from hermes_cli.model_normalize import normalize_model_for_provider

    return str(normalize_model_for_provider(model, provider)) if model else ""
