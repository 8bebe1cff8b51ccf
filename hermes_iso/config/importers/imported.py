"""Imported: what became of another format, as keys for config.yaml and as sentences about the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Imported:
    """The result of an import. `left` says what was not carried over, one sentence each, and never holds a secret."""

    config: dict[str, Any]
    left: tuple[str, ...]

    def as_yaml(self) -> str:
        """Return the keys as YAML to put into config.yaml, below the sentences as comments."""
        notes = "".join(f"# not carried over: {sentence}\n" for sentence in self.left)
        return notes + yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True, width=120)
