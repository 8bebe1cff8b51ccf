"""The real hermes-agent package, where `make hermes` has made its environment; without it tests are skipped by name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERMES_PYTHON = Path(sys.prefix).with_name(".venv-hermes") / "bin" / "python"
needs_hermes = pytest.mark.skipif(
    not HERMES_PYTHON.exists(), reason=f"the hermes-agent package is not there: no {HERMES_PYTHON}; `make hermes` makes it"
)
