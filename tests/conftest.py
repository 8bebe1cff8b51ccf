"""Settings for the whole suite: property tests are repeatable, without a clock; folders with real sandboxes are marked."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

REAL = [Path(__file__).parent / name for name in ("border", "e2e", "leaks")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test below the folders whose tests start real sandboxes."""
    for item in items:
        if any(folder in item.path.parents for folder in REAL):
            item.add_marker("sandbox")
            item.add_marker("slow")
