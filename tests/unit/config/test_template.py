"""Tests of hermes_iso.config.template."""

import pytest

from hermes_iso.config.load import load_config
from hermes_iso.config.template import write_home
from hermes_iso.errors import UsageError


@pytest.mark.parametrize(("agents", "demo"), [([], False), (["coder"], True), (["main", "B", "a", "b"], False)])
def test_a_written_home_loads_without_a_warning(tmp_path, agents, demo):
    """What init writes is right: its agents are served, offline, with the API on and a key of its own."""
    home = tmp_path / "deep" / "home"
    names = write_home(home, agents, demo=demo)
    assert (names[0], set(names)) == ("main", {"main", *(name.lower() for name in agents)})
    assert "{}" not in (home / "config.yaml").read_text()
    config = load_config(home, {})
    assert list(config.agents) == ["main", *sorted({name.lower() for name in agents} - {"main"})]
    assert {agent.model.provider for agent in config.agents.values()} == {"builtin"}
    assert config.warnings == ()
    assert (config.api.host, config.api.port, len(config.api.keys)) == ("127.0.0.1", 8642, 1)
    assert config.agents["main"].persona.startswith("You are main")


def test_a_written_home_serves_profiles_that_come_later(tmp_path):
    """`serve: all` is written out, so a new profile needs no line in the config."""
    write_home(tmp_path / "home", [], demo=False)
    (tmp_path / "home/profiles/later").mkdir(parents=True)
    assert list(load_config(tmp_path / "home", {}).agents) == ["main", "later"]


def test_every_home_has_a_key_of_its_own(tmp_path):
    """The API key is random and long, and stands in `.env` alone."""
    keys = set()
    for name in ("a", "b"):
        write_home(tmp_path / name, [], demo=True)
        keys |= {key.key for key in load_config(tmp_path / name, {}).api.keys}
        assert not any(key in (tmp_path / name / "config.yaml").read_text() for key in keys)
    assert len(keys) == 2
    assert min(map(len, keys)) >= 32


def test_a_written_home_is_private(tmp_path):
    """Files are 0600 and directories 0700."""
    write_home(tmp_path / "home", ["coder"], demo=False)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "home", *(tmp_path / "home").rglob("*")]}
    assert modes == {
        "home": 0o700,
        "profiles": 0o700,
        "coder": 0o700,
        "config.yaml": 0o600,
        ".env": 0o600,
        "SOUL.md": 0o600,
    }


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        ".env",
        "SOUL.md",
        "profiles/coder/SOUL.md",
        "profiles/coder/config.yaml",
        "profiles/coder/.env",
        "profiles/coder/profile.yaml",
    ],
)
def test_nothing_is_overwritten(tmp_path, name):
    """One file in the way refuses the whole, before anything is written."""
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=f"{name} is there already; init never overwrites"):
        write_home(tmp_path, ["coder"], demo=False)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["../x", "default", "a b", ""])
def test_a_name_that_no_agent_can_have_is_refused(tmp_path, name):
    """The same rule as in the config; nothing is written."""
    with pytest.raises(UsageError, match="name"):
        write_home(tmp_path / "home", [name], demo=False)
    assert not (tmp_path / "home").exists()


def test_a_place_that_can_not_be_written_is_one_sentence(tmp_path):
    """A file where a directory is needed is reported, not raised as it is."""
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't make a home at"):
        write_home(tmp_path / "file" / "home", [], demo=False)
