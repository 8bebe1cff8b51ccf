"""From `model` and `provider` in up to three places to one ModelSettings: overlay, the profile's config, the root's.

The nearest place that names a model, provider or address decides. One that names only a model, and no provider in its text,
takes provider, address and key from the next place together; an address or key is never carried over to another provider, so
no key goes to a host that it was not written for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from hermes_iso.agents import ApiMode, ModelSettings
from hermes_iso.config.agent_shapes import OverlayModelShape
from hermes_iso.config.hermes_shapes import ModelShape
from hermes_iso.config.problems import ProblemList, numbered, suggestion
from hermes_iso.config.providers import NEEDS_LOGIN, PROVIDERS, Provider, provider_at, resolvable
from hermes_iso.config.source import Names, Source
from hermes_iso.config.yaml_text import Document, KeyPath
from hermes_iso.errors import UsageError

_MODEL_NAME = re.compile(r"[\w.:/@+-]{1,200}", re.ASCII)
_MODES: dict[str, ApiMode] = {
    "chat_completions": "chat_completions",
    "openai": "chat_completions",
    "anthropic_messages": "anthropic_messages",
    "anthropic": "anthropic_messages",
}


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one place says; `at` is where it stands in `document`."""

    document: Document
    at: KeyPath
    shape: ModelShape
    provider: str

    @property
    def name(self) -> str:
        """The model's name, or ''."""
        return (self.shape.default or self.shape.model or "").strip()

    @property
    def elsewhere(self) -> bool:
        """Whether it says where the model is: without that, a place only names a model or a key."""
        return bool(self.provider or self.shape.base_url)

    @property
    def empty(self) -> bool:
        """Whether it says nothing about the model."""
        parts = (self.name, self.provider, self.shape.base_url, self.shape.api_key, self.shape.api_mode)
        return not any(parts)


def choose_model(source: Source, root: Source, *, names: Names, problems: ProblemList) -> ModelSettings:
    """Return the settings of one agent's model; a mistake is noted and gives settings that answer nothing."""
    layers = [layer for layer in _layers(source, root) if not layer.empty]
    if not layers:
        hint = f"model in {root.document.file}"
        problems.warn(f"agent {source.id} has no model: set {hint}, e.g. model: builtin/offline")
        return ModelSettings("none", "", "", "chat_completions", key_hint=hint)
    return _Choice(layers, source, names, problems).settings()


def choose_subagent_model(
    source: Source, root: Source, default: OverlayModelShape | None, *, names: Names, problems: ProblemList
) -> ModelSettings | None:
    """Return the model of an agent's subagents: its own `subagents.model`, else `subagent.model`, else None: the agent's.

    One that names a model alone takes provider, address and key from where the agent has them.
    """
    own = source.overlay.subagents.model
    shape, at = (own, (*source.overlay_at, "subagents", "model")) if own else (default, ("subagent", "model"))
    layer = _Layer(root.document, at, shape or ModelShape(), ((shape and shape.provider) or "").strip().lower())
    if layer.empty:
        return None
    layers = [layer, *(each for each in _layers(source, root) if not each.empty)]
    return _Choice(layers, source, names, problems).settings()


def choose_models(source: Source, root: Source, *, names: Names, problems: ProblemList) -> tuple[ModelSettings, ...] | None:
    """Return what `agents.<id>.models` names, each resolved as `choose_subagent_model` does; None where it is not written."""
    texts = source.overlay.models
    if texts is None:
        return None
    below = [each for each in _layers(source, root) if not each.empty]
    found = []
    for index, text in numbered(texts):
        layer = _Layer(root.document, (*source.overlay_at, "models", index), ModelShape(default=text), "")
        found.append(_Choice([layer, *below], source, names, problems).settings())
    return tuple(found)


def choose_fallbacks(source: Source, root: Source, *, names: Names, problems: ProblemList) -> tuple[ModelSettings, ...]:
    """Return the models of Hermes' `fallback_providers`, then `fallback_model`, of the profile, else of the home.

    As in Hermes, an entry without provider and model is none. One that can't be used is left out with a warning.
    """
    keys = source.keys if source.keys.fallback_providers or source.keys.fallback_model else root.keys
    origin = source if keys is source.keys else root
    found: list[ModelSettings] = []
    for key, entries in (("fallback_providers", keys.fallback_providers), ("fallback_model", keys.fallback_model)):
        for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            layer = _fallback_layer(origin, (key, index) if isinstance(entries, list) else (key,), entry, names)
            if layer is None:
                continue
            wrong = ProblemList()
            settings = _Choice([layer], origin, names, wrong).settings()
            for problem in wrong.problems:
                problems.warn(f"{problem}; this fallback is left out")
            if not wrong.problems and settings not in found:
                found.append(settings)
    return tuple(found)


def _fallback_layer(origin: Source, at: KeyPath, entry: Any, names: Names) -> _Layer | None:
    """Return what one entry of Hermes' fallbacks says, or None when it says too little."""
    if not isinstance(entry, dict):
        return None
    said = {key: value for key in ModelShape.model_fields if isinstance(value := entry.get(key), str)}
    if not said.get("provider", "").strip() or not said.get("model", "").strip():
        return None
    key_name = str(entry.get("key_env") or entry.get("api_key_env") or "")
    if key_name and not said.get("api_key"):
        said["api_key"] = names.get(key_name) or ""
    return _Layer(origin.document, at, ModelShape.model_validate(said), said["provider"].strip().lower())


def model_named(source: Source, root: Source, names: Names, text: str) -> ModelSettings:
    """Return the settings of a model that somebody names in a chat, as if `agents.<id>.model` said it. Raises UsageError.

    The text comes from a stranger: it is a name and nothing else, so no `${NAME}` in it is replaced.
    """
    if not _MODEL_NAME.fullmatch(text):
        raise UsageError("A model is called by its name, as in provider/name: letters, digits and ._:/@+- only.")
    problems = ProblemList()
    layer = _Layer(root.document, (*source.overlay_at, "model"), ModelShape(default=text), "")
    layers = [layer, *(layer for layer in _layers(source, root) if not layer.empty)]
    settings = _Choice(layers, source, names, problems).settings()
    if problems.problems:
        raise UsageError(f"No model {text!r} can be used: {problems.problems[0].message}.")
    if settings.key_hint and not settings.api_key:
        raise UsageError(f"No model {text!r} can be used: this gateway has no key for {settings.provider}.")
    return settings


def _layers(source: Source, root: Source) -> list[_Layer]:
    """Return the places that may say something about a model, nearest first."""
    overlay = source.overlay
    at = (*source.overlay_at, "model" if overlay.model else "provider")
    beside = overlay.provider or (overlay.model.provider if overlay.model else "") or ""
    layers = [_Layer(root.document, at, overlay.model or ModelShape(), beside.strip().lower())]
    for origin in (source, root) if source.id != root.id else (source,):
        shape = origin.keys.model or ModelShape()
        layers.append(_Layer(origin.document, ("model",), shape, (shape.provider or "").strip().lower()))
    return layers


@dataclass(slots=True)
class _Choice:
    """The resolution of one agent's layers, nearest first."""

    layers: list[_Layer]
    source: Source
    names: Names
    problems: ProblemList

    def settings(self) -> ModelSettings:
        """Return the resolved settings."""
        decider = next((layer for layer in self.layers if layer.name or layer.elsewhere), None)
        named = next((layer for layer in self.layers if layer.name), None)
        if decider is None or named is None:
            self._wrong(decider or self.layers[0], "names no model; write model: provider/name")
            return _nothing()
        text = self._text(named, "default", named.name)
        after = self.layers[self.layers.index(decider) + 1 :]
        place = decider
        if not decider.elsewhere and not self._names_provider(text):
            place = next((layer for layer in after if layer.elsewhere), decider)
        found = self._provider(place, text)
        if found is None:
            return _nothing()
        provider, name, said = found
        nearest_last = [place, *reversed(self.layers[: self.layers.index(decider) + 1])]
        for layer in nearest_last:
            said = {**said, **self._own(layer)}
        return self._settings(provider, name, said, decider)

    def _names_provider(self, text: str) -> bool:
        """Say whether a model's text begins with a provider that is known or that the config defines."""
        first, slash, rest = text.partition("/")
        return bool(slash and rest) and (first.lower() in PROVIDERS or self._custom(first) is not None)

    def _own(self, layer: _Layer) -> dict[str, Any]:
        """Return what a place says beside the name, expanded, without what it leaves out."""
        shape = layer.shape
        said = {
            "base_url": self._text(layer, "base_url", shape.base_url or ""),
            "api_key": self._text(layer, "api_key", shape.api_key or ""),
            "api_mode": shape.api_mode or "",
            "headers": {key: self._text(layer, "headers", value) for key, value in shape.headers.items()},
        }
        return {key: value for key, value in said.items() if value}

    def _provider(self, layer: _Layer, text: str) -> tuple[Provider, str, dict[str, Any]] | None:
        """Return (provider, model name, what a named custom provider says), or None after noting what is wrong."""
        wanted = layer.provider
        if wanted in ("", "auto"):
            if not layer.shape.base_url:
                return self._from_text(layer, text)
            there = provider_at(self.names.expand(layer.shape.base_url)[0]) or PROVIDERS["custom"]
            return there, _own_name(there, text), {}
        entry = self._custom(wanted.removeprefix("custom:"))
        if entry is not None:
            return PROVIDERS["custom"], text, entry
        if wanted in NEEDS_LOGIN:
            self._wrong(
                layer, f"provider {wanted!r} needs a login that is not available in this version; use a key", "provider"
            )
            return None
        provider = PROVIDERS.get(wanted)
        if provider is None:
            self._wrong(layer, f"there is no provider {wanted!r}{suggestion(wanted, PROVIDERS)}", "provider")
            return None
        return provider, _own_name(provider, text), {}

    def _from_text(self, layer: _Layer, text: str) -> tuple[Provider, str, dict[str, Any]] | None:
        """Resolve `provider/name`, or a bare or foreign name by the key that is at hand, as Hermes does."""
        first, slash, rest = text.partition("/")
        provider = PROVIDERS.get(first.lower()) if slash and rest else None
        entry = self._custom(first) if slash and rest else None
        if entry is not None:
            return PROVIDERS["custom"], rest, entry
        at_hand = resolvable(self.names.merged())
        router = PROVIDERS["openrouter"]
        if provider is not None:
            keyless = provider.keys and not any(self.names.get(name) for name in provider.keys)
            if keyless and not layer.shape.api_key and at_hand is router:
                return router, text, {}
            return provider, rest, {}
        if slash and at_hand is router:
            return router, text, {}
        if not slash and at_hand is not None:
            return at_hand, text, {}
        what = f"{text!r} names no known provider{suggestion(first, PROVIDERS)}" if slash else f"{text!r} names no provider"
        self._wrong(layer, f"{what}; write provider/name, or provider: beside it")
        return None

    def _custom(self, name: str) -> dict[str, Any] | None:
        """Return what `providers` or `custom_providers` says of a name, in the profile's config or the root's."""
        for document in dict.fromkeys(id(layer.document) for layer in self.layers):
            origin = next(layer.document for layer in self.layers if id(layer.document) == document)
            for entry in _entries(origin, name):
                url = next((entry[key] for key in ("base_url", "api", "url") if isinstance(entry.get(key), str)), "")
                key_name = str(entry.get("key_env") or entry.get("api_key_env") or "")
                key = (self.names.get(key_name) if key_name else None) or str(entry.get("api_key") or "")
                mode = str(entry.get("api_mode") or entry.get("transport") or "")
                said = {"base_url": self.names.expand(url)[0], "api_key": self.names.expand(key)[0], "api_mode": mode}
                return {name: value for name, value in said.items() if value} | {"key_name": key_name}
        return None

    def _settings(self, provider: Provider, name: str, said: dict[str, Any], layer: _Layer) -> ModelSettings:
        if provider.id == "builtin" and name != "offline":
            self._wrong(layer, f"there is no built-in model {name!r}; did you mean builtin/offline?")
            return _nothing()
        moved = self.names.get(provider.base_url_name) if provider.base_url_name else None
        url = (said.get("base_url") or moved or provider.base_url).rstrip("/")
        if provider.id != "builtin":
            self._check_url(url, provider, layer)
        key_names = (said["key_name"],) if said.get("key_name") else provider.keys
        key = said.get("api_key") or next(filter(None, map(self.names.get, key_names)), None)
        return ModelSettings(
            provider=provider.id,
            model=name,
            base_url=url,
            api_mode=self._mode(provider, said.get("api_mode", ""), layer),
            api_key=key,
            key_hint=f"{key_names[0]} in {self.source.env_file}" if key_names else "",
            headers=said.get("headers", {}),
        )

    def _mode(self, provider: Provider, wanted: str, layer: _Layer) -> ApiMode:
        if wanted and wanted not in _MODES:
            hint = suggestion(wanted, _MODES) or "; use chat_completions or anthropic_messages"
            self._wrong(layer, f"api_mode {wanted!r} is not available in this version{hint}", "api_mode")
        return _MODES.get(wanted, provider.api_mode)

    def _check_url(self, url: str, provider: Provider, layer: _Layer) -> None:
        if not url:
            self._wrong(layer, f"provider {provider.id!r} needs a base_url; add it, e.g. http://127.0.0.1:8000/v1", "base_url")
            return
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            good = False
        if not good or parts.username or parts.password:
            self._wrong(layer, "must be an http or https address without a password in it; correct it", "base_url")

    def _text(self, layer: _Layer, key: str, text: str) -> str:
        expanded, missing = self.names.expand(text)
        for name in missing:
            self._wrong(layer, f"refers to {name}, which is set nowhere; add it to {self.source.env_file}", key)
        return expanded.strip()

    def _wrong(self, layer: _Layer, message: str, key: str = "") -> None:
        places = ((*layer.at, key), (*layer.at[:-1], key)) if key else ()
        path = next((place for place in places if place in layer.document.lines), layer.at)
        layer.document.complain(self.problems, path, message=message)


def _own_name(provider: Provider, text: str) -> str:
    """Return a model's name as its provider calls it: without the provider's own name in front."""
    first, slash, rest = text.partition("/")
    own_prefix = slash and not provider.slugs and PROVIDERS.get(first.lower()) is provider
    return rest if own_prefix else text


def _nothing() -> ModelSettings:
    return ModelSettings("none", "", "", "chat_completions")


def _entries(document: Document, name: str) -> list[dict[str, Any]]:
    """Return the entries of a custom provider's name, compared as Hermes does: case and blanks do not count."""
    wanted = name.strip().lower().replace(" ", "-")
    found: list[tuple[Any, Any]] = []
    providers, listed = document.get("providers"), document.get("custom_providers")
    if isinstance(providers, dict):
        found += list(providers.items())
    if isinstance(listed, list):
        found += [(entry.get("name"), entry) for entry in listed if isinstance(entry, dict)]
    return [
        entry
        for label, entry in found
        if isinstance(entry, dict) and str(label).strip().lower().replace(" ", "-") == wanted and wanted
    ]
