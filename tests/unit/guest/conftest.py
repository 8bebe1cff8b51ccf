"""A home and a working directory for the engine's tests, and a bench on which a tool is called as the engine calls it."""

import json

import pytest

from hermes_iso_sandbox.guest.tools.registry import ALL, Registry
from hermes_iso_sandbox.guest.tools.tool import Bench
from tests.support.fake_link import FakeLink


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Return the working directory; the agent's home lies beside it."""
    work, home = tmp_path / "workspace", tmp_path / "home"
    work.mkdir()
    (home / "memories").mkdir(parents=True)
    monkeypatch.setenv("HERMES_HOME", str(home))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def link():
    """Return a link whose script a test fills."""
    with FakeLink() as fake:
        yield fake


@pytest.fixture
def bench(workspace, link):
    """Return what tools work at."""
    return Bench(link, str(workspace), str(workspace.parent / "home"))


@pytest.fixture
def use(bench):
    """Return a function that calls a tool by name and returns its result."""
    registry = Registry([tool.name for tool in ALL], bench)

    def call(name, **arguments):
        return json.loads(registry.run(name, json.dumps(arguments)).text)

    return call
