"""HermesMenu: what the model host offers the turn of a Hermes agent: the models that Hermes itself resolved for its profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.calls import OfflineFacts
from hermes_iso.broker.upstream import Sender
from hermes_iso.hermes.key_pool import KeyPool
from hermes_iso.hermes.model_inside import hosts_inside, placeholder
from hermes_iso.hermes.pooled import PooledSender
from hermes_iso.hermes.resolved import OFFLINE, HermesModel, Resolved


@dataclass(frozen=True, slots=True)
class HermesMenu:
    """What one turn may ask.

    routes: a model by the placeholder of its key. pools: their keys, by the same.
    hosts: what the model host is called inside. refused: whether policy keeps a tool from the turn.
    Another model takes over inside, where Hermes has its own rules for that; here only one key does for another.
    """

    routes: Mapping[str, ModelSettings]
    pools: Mapping[str, KeyPool]
    hosts: frozenset[str]
    refused: Callable[[str], bool]
    about: OfflineFacts

    @staticmethod
    def of(
        resolved: Resolved,
        pools: Mapping[str, KeyPool],
        *,
        refused: Callable[[str], bool],
        about: OfflineFacts,
        env_file: Path,
    ) -> HermesMenu:
        """Return what a turn may ask. pools: by what the model is for."""
        named = {placeholder(name, model): (name, model) for name, model in resolved.named.items()}
        return HermesMenu(
            {key: _settings(model, env_file) for key, (_, model) in named.items()},
            {key: pools[name] for key, (name, _) in named.items()},
            hosts_inside(resolved),
            refused,
            about,
        )

    @property
    def models(self) -> Mapping[str, ModelSettings]:
        """Each model by its name, the main one first."""
        found: dict[str, ModelSettings] = {}
        for settings in self.routes.values():
            found.setdefault(settings.model, settings)
        return found

    def knows(self, key: str) -> bool:
        """Say whether a key is the placeholder of a model."""
        return key in self.routes

    def models_for(self, key: str) -> Mapping[str, ModelSettings]:
        """Return what a request with this key may name: the one model that it stands for, else any."""
        settings = self.routes.get(key)
        return self.models if settings is None else {settings.model: settings}

    def candidates(self, settings: ModelSettings) -> tuple[ModelSettings, ...]:
        """Return who is asked for a model."""
        return (settings,)

    def sender(self, sender: Sender, settings: ModelSettings) -> Sender:
        """Return what sends requests for a model: with one of its keys after the other."""
        key = next(key for key, each in self.routes.items() if each is settings)
        pool = self.pools[key]
        return PooledSender(sender, settings, pool) if len(pool) else sender


def _settings(model: HermesModel, env_file: Path) -> ModelSettings:
    """Return how a model is asked; which key goes along is decided for each request."""
    if model is OFFLINE:
        return ModelSettings("builtin", model.model, "", "offline")
    keys = tuple(each.key for each in model.keys)
    return ModelSettings(
        provider=model.provider,
        model=model.model,
        base_url=model.base_url,
        api_mode="anthropic_messages" if model.api_mode == "anthropic_messages" else "chat_completions",
        api_key=keys[0] if keys else None,
        key_hint=f"the key of {model.provider} in {env_file}" if keys else "",
        headers=dict(model.headers),
        spare_keys=keys[1:],
        bearer=model.bearer,
    )
