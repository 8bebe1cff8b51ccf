"""Which models a Hermes profile means, whether each has a key, and whether its provider can be carried; never a key itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hermes_iso.agents import ModelSettings
from hermes_iso.config.model_choice import choose_model
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.providers import NEEDS_LOGIN, PROVIDERS
from hermes_iso.config.source import Names, Source
from hermes_iso.profile_files import UnreadableError, read_bounded

_SIGNED = "signs its requests inside of Hermes, and no key of it can stay outside"
UNCARRIED: Mapping[str, str] = {
    **dict.fromkeys(("bedrock", "aws", "aws-bedrock", "amazon-bedrock", "amazon"), _SIGNED),
    **dict.fromkeys(("vertex", "google-vertex", "vertex-ai", "gcp-vertex", "vertexai"), _SIGNED),
    **dict.fromkeys(("copilot-acp", "github-copilot-acp", "copilot-acp-agent"), "is a program and no address"),
}
"""Hermes' providers that can't be carried, under all their names, and why."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """One model that a profile names.

    role: what it is for: model, fallback, or the key of config.yaml that names it. key: found, missing, login (one of Hermes'
    own, kept in auth.json), none (not needed) or unknown. where: what has it, or would. refused: why it can't be carried.
    """

    role: str
    provider: str
    name: str
    base_url: str = ""
    key: str = "unknown"
    where: str = ""
    refused: str = ""


def models_of(source: Source, root: Source, environ: Mapping[str, str]) -> list[ModelUse]:
    """Return the models of one agent, its own first."""
    names = Names((source.env.values, root.env.values, environ))
    logins = _logins(source.home) | _logins(root.home)
    found = [_main(source, root, names, logins)]
    for role, entry in _others(source.document.data):
        provider = str(entry.get("provider") or "").strip().lower()
        name = str(entry.get("model") or entry.get("default") or "").strip()
        if provider not in ("", "auto", "main") and (provider, name) != (found[0].provider, found[0].name):
            found.append(_named(role, provider, name, entry, names, logins))
    return found


def uncarried(source: Source) -> str:
    """Return why the model of a profile can't be carried, with its provider's name, or ''."""
    model = source.document.get("model")
    provider = str(model.get("provider") or "").strip().lower() if isinstance(model, dict) else ""
    return _refusal(provider)


def _refusal(provider: str) -> str:
    why = UNCARRIED.get(provider)
    return f"provider {provider} can't be carried: it {why}; choose another" if why else ""


def _main(source: Source, root: Source, names: Names, logins: frozenset[str]) -> ModelUse:
    """Return the model that answers."""
    model = source.document.get("model")
    written = str(model.get("provider") or "").strip().lower() if isinstance(model, dict) else ""
    if written in UNCARRIED or written in NEEDS_LOGIN:
        assert isinstance(model, dict)
        return _named("model", written, str(model.get("default") or model.get("model") or ""), model, names, logins)
    problems = ProblemList()
    settings = choose_model(source, root, names=names, problems=problems)
    if problems.problems:
        return ModelUse("model", written, settings.model, refused="; ".join(map(str, problems.problems)))
    key, where = _key(settings, logins)
    return ModelUse("model", settings.provider, settings.model, settings.base_url, key, where)


def _key(settings: ModelSettings, logins: frozenset[str]) -> tuple[str, str]:
    """Return whether the key of a model was found, and where it is or would be."""
    if settings.provider == "none":
        return "missing", settings.key_hint
    if settings.api_key:
        return "found", ""
    if settings.provider in logins:
        return "login", "auth.json"
    return ("missing", settings.key_hint) if settings.key_hint else ("none", "")


def _named(role: str, provider: str, name: str, entry: Mapping[str, Any], names: Names, logins: frozenset[str]) -> ModelUse:
    """Return a model that an entry of a config names with its provider."""
    known = PROVIDERS.get(provider)
    url = re.sub(r"//[^/@]*@", "//", str(entry.get("base_url") or (known.base_url if known else "")))
    if provider in UNCARRIED:
        return ModelUse(role, provider, name, url, refused=_refusal(provider))
    key_names = tuple(filter(None, (entry.get("key_env"), entry.get("api_key_env")))) or (known.keys if known else ())
    if entry.get("api_key") or any(names.get(str(each)) for each in key_names):
        return ModelUse(role, provider, name, url, "found")
    if provider in logins:
        return ModelUse(role, provider, name, url, "login", "auth.json")
    if provider in NEEDS_LOGIN:
        return ModelUse(role, provider, name, url, "missing", f"hermes auth login {provider}")
    if known is None:
        return ModelUse(role, provider, name, url)
    return ModelUse(role, provider, name, url, "missing" if key_names else "none", str(next(iter(key_names), "")))


def _others(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (role, entry) of every further model that a config.yaml names."""
    for key in ("fallback_providers", "fallback_model"):
        entries = data.get(key)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, dict):
                yield "fallback", entry
    auxiliary = data.get("auxiliary")
    for name, entry in (auxiliary if isinstance(auxiliary, dict) else {}).items():
        if isinstance(entry, dict):
            yield f"auxiliary.{name}", entry
    for name in ("delegation", "smart_model_routing"):
        entry = data.get(name)
        if isinstance(entry, dict):
            yield name, entry


def _logins(home: Path) -> frozenset[str]:
    """Return the providers that Hermes has a login or a pool of keys for in a home."""
    try:
        data = json.loads(read_bounded(home / "auth.json") or b"{}")
    except (UnreadableError, ValueError, RecursionError):
        return frozenset()
    found: set[str] = set()
    for key in ("providers", "credential_pool"):
        section = data.get(key) if isinstance(data, dict) else None
        found |= {str(name) for name, value in section.items() if value} if isinstance(section, dict) else set()
    return frozenset(found)
