"""Ask Hermes which models a profile means: one JSON object in, one out, in a process of its own that lives for this alone.

It runs under the engine's interpreter with `-I`, in a sandbox that holds nothing but copies of the operator's files, which come
in on stdin; their changed tokens go out with the answer. Whatever Hermes itself prints goes nowhere. Where a login has to be
renewed, its token host is reached through a listener in this process' own network, which the gateway serves.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes_iso.hermes.helper.describing import UNCARRIED, ResolveError, described, plain_key, pool_with

ROOT = Path("/tmp/operator/.hermes")  # noqa: S108  # inside of its own sandbox


def main(door_fd: int) -> None:
    """Read the question from stdin, and write the answer to what was stdout."""
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    question = json.load(sys.stdin)
    home = prepare(question, door_fd)
    written = json.dumps({**resolve_all(question.get("model") or ""), "auth": auth_files(home)}, default=str)
    with os.fdopen(answer, "w", encoding="utf-8") as out:
        out.write(written)
    os._exit(0)  # threads of Hermes may wait for ever


def prepare(question: dict[str, Any], door_fd: int) -> Path:
    """Lay out the operator's files, and set the environment as Hermes has it for this profile. Returns its home."""
    profile = question.get("profile") or ""
    home = ROOT / "profiles" / profile if profile else ROOT
    for name, text in question["files"].items():
        path = ROOT / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    proxy = open_door(door_fd)
    os.environ.clear()  # noqa: TID251  # this process is the operator's, and for one profile only
    os.environ.update(  # noqa: TID251
        {
            **question.get("environment", {}),
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy),
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(ROOT.parent),
            "HERMES_HOME": str(home),
        }
    )
    os.chdir(home)  # noqa: TID251  # the same
    from hermes_cli.env_loader import load_hermes_dotenv

    load_hermes_dotenv(hermes_home=home)
    return home


def open_door(door_fd: int) -> str:
    """Make the listener that the gateway serves; return where clients find it."""
    with socket.socket(fileno=door_fd) as channel, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        socket.send_fds(channel, [b"d"], [listener.fileno()])
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def auth_files(home: Path) -> dict[str, str]:
    """Return the token files as they stand now, by their names below the root."""
    found = {str(path.relative_to(ROOT)): path for path in (ROOT / "auth.json", home / "auth.json") if path.is_file()}
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


def resolve_all(wanted: str) -> dict[str, Any]:
    """Return every model of the profile: main, fallbacks, auxiliary and that of subagents."""
    from hermes_cli.config import load_config
    from hermes_cli.fallback_config import get_fallback_chain

    config = load_config()
    main_model = attempt(lambda: switched(wanted) if wanted else main_of())
    fallbacks = [attempt(lambda entry=entry: fallback_of(entry)) for entry in get_fallback_chain(config)]
    tasks = config.get("auxiliary") if isinstance(config.get("auxiliary"), dict) else {}
    auxiliary = {
        task: attempt(lambda task=task: auxiliary_of(task, main_model))
        for task, said in tasks.items()
        if isinstance(said, dict)
    }
    delegation = config.get("delegation") if isinstance(config.get("delegation"), dict) else {}
    subagents = attempt(lambda: fallback_of(delegation)) if delegation.get("provider") or delegation.get("base_url") else None
    return {
        "version": hermes_version(),
        "main": main_model,
        "fallbacks": fallbacks,
        "auxiliary": {task: model for task, model in auxiliary.items() if model is not None},
        "subagents": subagents,
    }


def attempt(resolve: Any) -> dict[str, Any] | None:
    """Return what a resolution gives, or its error as data: one model that can't be used must not hide the others."""
    try:
        found: dict[str, Any] | None = resolve()
        return found
    except ResolveError as error:
        return {"error": {"kind": error.kind, "sentence": str(error), "provider": error.provider}}
    except Exception as error:  # noqa: BLE001  # Hermes raises many kinds, and says why in the text
        from hermes_cli.runtime_provider import format_runtime_provider_error

        kind = "missing" if getattr(error, "code", "") in {"missing_api_key", "not_logged_in"} else "failed"
        return {
            "error": {
                "kind": kind,
                "sentence": format_runtime_provider_error(error),
                "provider": getattr(error, "provider", ""),
            }
        }


def main_of() -> dict[str, Any]:
    """Resolve the main model as Hermes' gateway does."""
    from hermes_cli.runtime_provider import _get_model_config, resolve_requested_provider

    requested = resolve_requested_provider()
    said = _get_model_config()
    model = str(said.get("default") or "").strip()
    found = resolved(requested, model)
    if not model:
        raise ResolveError("missing", "No model is named: set model.default", requested)
    length = said.get("context_length")
    found["context_length"] = length if isinstance(length, int) and not isinstance(length, bool) else None
    return found


def switched(wanted: str) -> dict[str, Any]:
    """Resolve a model that somebody named in a chat, as Hermes' /model does."""
    from hermes_cli.config import get_compatible_custom_providers, load_config
    from hermes_cli.model_switch import switch_model
    from hermes_cli.runtime_provider import _get_model_config, resolve_runtime_provider

    config, said = load_config(), _get_model_config()
    runtime = resolve_runtime_provider()
    result = switch_model(
        raw_input=wanted,
        current_provider=runtime["provider"],
        current_model=str(said.get("default") or ""),
        current_base_url=runtime.get("base_url") or "",
        current_api_key=plain_key(runtime.get("api_key")),
        user_providers=config.get("providers"),
        custom_providers=get_compatible_custom_providers(config),
    )
    if not result.success:
        raise ResolveError("failed", result.error_message or f"There is no model {wanted!r}")
    return described(
        provider=result.target_provider,
        model=result.new_model,
        base_url=result.base_url or runtime.get("base_url") or "",
        mode=result.api_mode or runtime.get("api_mode") or "",
        key=result.api_key or runtime.get("api_key"),
        pool=None if result.provider_changed else runtime.get("credential_pool"),
    )


def fallback_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Resolve a fallback, or the model of subagents: a mapping of provider, model, base_url and key."""
    key = str(entry.get("api_key") or "").strip()
    name = str(entry.get("key_env") or entry.get("api_key_env") or "").strip()
    key = key or (os.environ.get(name, "").strip() if name else "")  # noqa: TID251
    url = str(entry.get("base_url") or "").strip()
    model = str(entry.get("model") or "").strip()
    return resolved(str(entry.get("provider") or "").strip().lower() or "custom", model, key=key or None, url=url or None)


def resolved(requested: str, model: str, *, key: str | None = None, url: str | None = None) -> dict[str, Any]:
    """Resolve a provider by its name. Raises ResolveError, and whatever Hermes raises."""
    refuse_uncarried(requested)
    from hermes_cli.runtime_provider import resolve_runtime_provider

    requested, url = direct_alias(requested, url)
    runtime = resolve_runtime_provider(
        requested=requested, explicit_api_key=key, explicit_base_url=url, target_model=model or None
    )
    if runtime["provider"] == "minimax-oauth":  # Hermes' agent renews this one by itself, at each request
        from hermes_cli.auth import build_minimax_oauth_token_provider

        runtime |= {"api_key": build_minimax_oauth_token_provider()(), "credential_pool": None}
    found = described(
        provider=runtime["provider"],
        model=model,
        base_url=runtime.get("base_url") or "",
        mode=runtime.get("api_mode") or "chat_completions",
        key=runtime.get("api_key"),
        pool=runtime.get("credential_pool"),
        headers=runtime.get("extra_headers"),
    )
    if requested in {"auto", "openrouter"} and not found["keys"] and "openrouter.ai" in found["base_url"]:
        raise ResolveError("missing", "Provider openrouter needs a key and none is set: set OPENROUTER_API_KEY", "openrouter")
    found["expires_at"] = expiry(runtime)
    return found


def direct_alias(requested: str, url: str | None) -> tuple[str, str | None]:
    """Return the provider and address for names that Hermes' own fallbacks know and its registry does not."""
    from agent.auxiliary_client import _AUX_DIRECT_API_BASE_URLS

    direct = _AUX_DIRECT_API_BASE_URLS.get(requested)
    return ("custom", direct) if direct and url is None and not registered(requested) else (requested, url)


def registered(name: str) -> bool:
    """Say whether Hermes' registry, or the profile's config, knows a provider of this name."""
    from hermes_cli.auth import resolve_provider
    from hermes_cli.runtime_provider import has_named_custom_provider

    if has_named_custom_provider(name):
        return True
    try:
        resolve_provider(name)
    except Exception:  # noqa: BLE001  # an AuthError, of which only the fact counts
        return False
    return True


def refuse_uncarried(requested: str) -> None:
    """Raise ResolveError for a provider that can't be carried."""
    name = requested
    with suppress(Exception):
        from hermes_cli.auth import resolve_provider

        name = resolve_provider(requested) if requested not in {"auto", "", *UNCARRIED} else requested
    if requested in {"google-vertex", "vertex-ai", "gcp-vertex", "vertexai"}:
        name = "vertex"
    if name in UNCARRIED:
        raise ResolveError("refused", f"Provider {name} can't be carried: it {UNCARRIED[name]}", name)


def auxiliary_of(task: str, main_model: dict[str, Any] | None) -> dict[str, Any] | None:
    """Resolve the model of an auxiliary task; None where it is whatever the main model is."""
    from agent.auxiliary_client import _resolve_task_provider_model, resolve_provider_client, resolve_vision_provider_client

    provider, model, url, key, mode = _resolve_task_provider_model(task)
    if provider == "auto" and not model and not url:
        return None
    refuse_uncarried(provider)
    runtime = None
    if main_model and "error" not in main_model:
        first = main_model["keys"][0]["key"] if main_model["keys"] else "no-key-required"
        runtime = {**{name: main_model[name] for name in ("provider", "model", "base_url", "api_mode")}, "api_key": first}
    if task == "vision":
        provider, client, model = resolve_vision_provider_client(main_runtime=runtime)
    else:
        client, model = resolve_provider_client(
            provider, model, explicit_base_url=url, explicit_api_key=key, api_mode=mode, main_runtime=runtime, task=task
        )
    if client is None:
        raise ResolveError("missing", f"Provider {provider} of auxiliary.{task} has no key, or is not known", provider or "")
    return of_client(provider or "custom", client, model or "")


def of_client(provider: str, client: Any, model: str) -> dict[str, Any]:
    """Describe the client that Hermes made for an auxiliary model."""
    kind = type(client).__name__
    modes = {"CodexAuxiliaryClient": "codex_responses", "AnthropicAuxiliaryClient": "anthropic_messages"}
    if kind in {"BedrockAuxiliaryClient", "CopilotACPClient"}:
        raise ResolveError("refused", f"Provider {provider} can't be carried: {UNCARRIED['bedrock']}", provider)
    inner = getattr(client, "_real_client", client)
    sent = {str(name): str(value) for name, value in (getattr(inner, "_custom_headers", None) or {}).items()}
    url = str(client.base_url)
    query = getattr(inner, "_custom_query", None) or {}
    url = url if not query else f"{url.rstrip('/')}?" + "&".join(f"{name}={value}" for name, value in query.items())
    mode, pool = modes.get(kind, "chat_completions"), pool_with(provider, plain_key(client.api_key))
    return described(provider=provider, model=model, base_url=url, mode=mode, key=client.api_key, pool=pool, headers=sent)


def expiry(runtime: dict[str, Any]) -> float | None:
    """Return when the main key of a login expires, as Unix time, or None."""
    from agent.credential_pool import _parse_absolute_timestamp
    from hermes_cli.auth import _decode_jwt_claims, get_provider_auth_state

    pool = runtime.get("credential_pool")
    entry = pool.current() if pool is not None else None
    state = get_provider_auth_state(runtime["provider"]) or {}
    said = [runtime.get("expires_at"), runtime.get("expires_at_ms"), getattr(entry, "expires_at_ms", None)]
    if entry is None:
        said.append(state.get("expires_at"))
    with suppress(Exception):
        said.append(_decode_jwt_claims(plain_key(runtime.get("api_key"))).get("exp"))
    times = [time for time in map(_parse_absolute_timestamp, said) if time]
    return min(times) if times else None


def hermes_version() -> str:
    """Return the version of the package that answers."""
    from importlib.metadata import version

    with suppress(Exception):
        return version("hermes-agent")
    return ""


if __name__ == "__main__":
    main(int(sys.argv[1]))
