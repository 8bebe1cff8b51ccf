"""Source: what one agent is made of, as read: its home's config.yaml and .env, and its overlay in the root config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hermes_iso.config.agent_shapes import AgentShape
from hermes_iso.config.hermes_shapes import HermesKeys
from hermes_iso.config.problems import ProblemList
from hermes_iso.config.validation import validated
from hermes_iso.config.yaml_text import Document, KeyPath, read_document
from hermes_iso.envfile import EnvFile, parse_env
from hermes_iso.profile_files import UnreadableError, read_bounded

_REFERENCE = re.compile(r"\$\{([^}]+)\}")
_PROVIDER_ROOTS = (
    "model",
    "providers",
    "custom_providers",
    "fallback_model",
    "fallback_providers",
    "auxiliary",
    "moa",
    "smart_model_routing",
    "delegation",
    "platforms",
)


@dataclass(frozen=True, slots=True)
class Names:
    """Where a `${NAME}` or a provider's key is looked up: the profile's .env, the root's, then the gateway's environment."""

    layers: tuple[Mapping[str, str], ...] = field(repr=False)

    def get(self, name: str) -> str | None:
        """Return the first non-empty value of a name, or None."""
        return next((layer[name].strip() for layer in self.layers if layer.get(name, "").strip()), None)

    def merged(self) -> dict[str, str]:
        """Return all names in one mapping, for asking which are there."""
        return {name: value for layer in reversed(self.layers) for name, value in layer.items() if value.strip()}

    def expand(self, text: str) -> tuple[str, list[str]]:
        """Return `text` with every `${NAME}` replaced, and the names that nothing defines."""
        missing = [name for name in _REFERENCE.findall(text) if self.get(name) is None]
        return _REFERENCE.sub(lambda found: self.get(found[1]) or "", text), missing


@dataclass(frozen=True, slots=True)
class Source:
    """One agent, unresolved. `overlay_at` is the key path of its overlay in the root document."""

    id: str
    home: Path
    document: Document
    keys: HermesKeys
    env: EnvFile
    overlay: AgentShape = field(default_factory=AgentShape)
    overlay_at: KeyPath = ()

    @property
    def env_file(self) -> Path:
        """The `.env` of this agent's home."""
        return self.home / ".env"


def read_source(agent: str, home: Path, *, document: Document | None, problems: ProblemList) -> Source:
    """Read a home's config.yaml (unless its document is given) and .env; what is wrong is noted."""
    if document is None:
        document = read_document(home / "config.yaml", problems)
    keys = validated(HermesKeys, document, below=(), data=document.data, problems=problems)
    return Source(agent, home, document, keys, read_env(home / ".env", problems))


def read_env(path: Path, problems: ProblemList) -> EnvFile:
    """Read a .env file; a line that is none is a warning, a file that can't be read a problem."""
    try:
        content = read_bounded(path)
    except UnreadableError as error:
        problems.add(str(path), 1, key="file", message=str(error))
        return EnvFile()
    env = parse_env((content or b"").decode("utf-8", "replace"))
    for line, message in env.warnings:
        problems.warn(f"{path}:{line}: {message}")
    return env


def referred_names(data: Mapping[str, Any]) -> frozenset[str]:
    """Return the environment names that the provider sections of a config.yaml refer to."""
    found: set[str] = set()
    pending: list[tuple[str, Any]] = [(root, data.get(root)) for root in _PROVIDER_ROOTS]
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending += list(value.items())
        elif isinstance(value, list):
            pending += [(name, item) for item in value]
        elif isinstance(value, str):
            found.update([value] if name.endswith(("key_env", "token_env")) else _REFERENCE.findall(value))
    return frozenset(found)
