"""The real hermes-agent package, where `make hermes` has made its environment; without it tests are skipped by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

_ENVIRONMENT = Path(sys.prefix).with_name(".venv-hermes")
HERMES_PYTHON = _ENVIRONMENT / "bin" / "python"
needs_hermes = pytest.mark.skipif(
    not (_ENVIRONMENT / ".ready").exists(),
    reason=f"the hermes-agent package is not there: no {_ENVIRONMENT}, or not whole; `make hermes` makes it",
)
