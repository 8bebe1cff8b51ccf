"""HermesProfile: where an operator keeps what decides about a Hermes agent's models, and what is read of it for the helper."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hermes_iso.broker.egress.dialing import Endpoint
from hermes_iso.envfile import parse_env
from hermes_iso.hermes.resolved import ResolverFaultError
from hermes_iso.profile_files import CONFIG_LIMIT, YAML_LOADER, UnreadableError, nests_deeper, read_bounded

TOKENS = "auth.json"
"""The file in which Hermes keeps logins and pools of keys."""
_MODEL_ROOTS = ("model", "providers", "custom_providers", "fallback_providers", "fallback_model", "auxiliary", "delegation")
_LEFT_OUT = frozenset({"agents", "routes", "bindings", "gateway", "platforms", "egress", "engines", "hooks", "mcp_servers"})
"""What says nothing about models; routes alone may be a hundred thousand."""
_DEPTH = 64


@dataclass(frozen=True, slots=True)
class HermesProfile:
    """One agent's profile, as the config has it.

    root: the home of all. said: what `agents.<id>.model` says, which counts before the profile. environment: what of the
    gateway's own environment Hermes may look at. resolve: the operator's resolver map, for the hosts of logins.
    python: the engine's interpreter. model: what the config calls the main model, for people.
    """

    id: str
    home: Path
    root: Path
    python: Path
    said: Mapping[str, Any] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    resolve: Mapping[str, Endpoint] = field(default_factory=dict, repr=False)
    model: str = ""

    @property
    def name(self) -> str:
        """What Hermes calls it; nothing for a home that stands alone."""
        below = self.home.parent == self.root / "profiles"
        return self.home.name if below else ""

    @property
    def homes(self) -> tuple[Path, ...]:
        """Where something may be that counts: the profile, then the root where that is another."""
        return tuple(dict.fromkeys((self.home, self.root)))

    @property
    def token_files(self) -> Mapping[str, Path]:
        """The token files that count, by the names that the helper has for them."""
        if not self.name:
            return {TOKENS: self.home / TOKENS}
        return {f"profiles/{self.name}/{TOKENS}": self.home / TOKENS, TOKENS: self.root / TOKENS}

    def identity(self) -> tuple[object, ...]:
        """Return what is another value once any of the files is."""
        names = ("config.yaml", ".env", TOKENS)
        return (self, *(_state(home / name) for home in self.homes for name in names))

    def question(self, model: str = "") -> dict[str, Any]:
        """Return what the helper is asked. model: one to switch to, as in a chat. Raises ResolverFaultError."""
        inherited, config = self.config()
        environment = dict(self.environment)
        if inherited:
            environment |= parse_env(_read(self.root / ".env").decode("utf-8", "replace")).values
        below = f"profiles/{self.name}/" if self.name else ""
        files = {
            f"{below}config.yaml": yaml.safe_dump(config, allow_unicode=True),
            f"{below}.env": _read(self.home / ".env").decode("utf-8", "replace"),
        }
        for name, path in self.token_files.items():
            text = _read(path).decode("utf-8", "replace")
            if text:
                files[name] = text
        return {"profile": self.name, "files": files, "environment": environment, "model": model}

    def config(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the model is the root home's, and the config that decides. Raises ResolverFaultError."""
        own = _load(self.home / "config.yaml")
        inherited = self.home != self.root and not own.get("model") and not self.said
        if inherited:
            above = _load(self.root / "config.yaml")
            own = {**{name: above[name] for name in _MODEL_ROOTS if name in above}, **own}
        if self.said:
            written = own.get("model")
            below = written if isinstance(written, dict) else {"default": written} if isinstance(written, str) else {}
            moved = any(self.said.get(name) for name in ("provider", "base_url"))
            own = {**own, "model": {**({} if moved else below), **self.said}}
        return inherited, {name: value for name, value in own.items() if name not in _LEFT_OUT}

    def is_offline(self, config: Mapping[str, Any]) -> bool:
        """Say whether a config names the built-in offline model."""
        model = config.get("model")
        if not isinstance(model, dict):
            return model == "builtin/offline"
        name = model.get("default") or model.get("model")
        return name == "builtin/offline" or (model.get("provider") == "builtin" and name == "offline")


def _load(path: Path) -> dict[str, Any]:
    """Return a config.yaml. Raises ResolverFaultError."""
    content = _read(path, CONFIG_LIMIT)
    if nests_deeper(content, _DEPTH):
        raise ResolverFaultError(f"{path} nests deeper than {_DEPTH} levels")
    try:
        data = yaml.load(content, Loader=YAML_LOADER)  # noqa: S506  # a safe one
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ResolverFaultError(f"{path}:{line} is not valid YAML: correct it") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ResolverFaultError(f"{path}:1 is no mapping of keys: correct it")
    return data


def _read(path: Path, limit: int = 1 << 20) -> bytes:
    """Return a file's bytes, none where there is no file. Raises ResolverFaultError."""
    try:
        return read_bounded(path, limit) or b""
    except UnreadableError as error:
        raise ResolverFaultError(f"{path} {error}") from error


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
