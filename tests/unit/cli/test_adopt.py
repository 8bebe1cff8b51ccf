"""`adopt` on the command line: what it prints, asks and exits with."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli.main import main
from tests.support.engines import ENGINE, make_engine
from tests.support.homes import make_home


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Make a home that looks like one of Hermes', of an operator who has a .gitconfig."""
    make_home(tmp_path / "operator", files={".gitconfig": "[user]\n\tname = Me\n\tsigningkey = key-canary\n"})
    monkeypatch.setenv("HOME", str(tmp_path / "operator"))
    make_engine(tmp_path / "home")
    files = {"state.db": "x", "profiles/coder/state.db": "y", "profiles/coder/home/": ""}
    return make_home(tmp_path / "home", ENGINE + "model: builtin/offline\n", files)


def test_check_prints_a_report_and_changes_nothing(home, capsys):
    """For people and as one JSON document; exit code 0."""
    before = sorted(home.rglob("*"))
    assert main(["adopt", "--check", "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert f"Agent coder ({home}/profiles/coder) will be adopted" in text
    assert "agents.coder.engine: hermes" in text
    assert main(["adopt", "--check", "--json", "--home", str(home)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [agent["state_files"] for agent in data["agents"]] == [["state.db"], ["state.db"]]
    assert data["gitconfig"] == "[user]\n\tname = Me\n"
    assert data["engine"]["version"] == "0.19.0"
    assert sorted(home.rglob("*")) == before


def test_nobody_to_ask_refuses_and_says_what_to_do(home, capsys):
    """Without a terminal and --yes nothing is done: exit code 2."""
    before = sorted(home.rglob("*"))
    assert main(["adopt", "--home", str(home)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert sorted(home.rglob("*")) == before


def test_adopt_twice_and_undo_twice(home, capsys):
    """A second adopt finds nothing new; a second undo finds nothing to undo: exit code 2."""
    before = (home / "config.yaml").read_bytes()
    assert main(["adopt", "--yes", "--home", str(home)]) == 0
    assert "Adopted: main, coder." in capsys.readouterr().out
    assert (home / "profiles/coder/home/.gitconfig").read_text() == "[user]\n\tname = Me\n"
    assert main(["adopt", "--yes", "--home", str(home)]) == 0
    assert "Adopted already: main, coder." in capsys.readouterr().out
    assert main(["adopt", "--undo", "--home", str(home)]) == 2
    assert main(["adopt", "--undo", "--yes", "--home", str(home)]) == 0
    assert "Given back: main, coder." in capsys.readouterr().out
    assert (home / "config.yaml").read_bytes() == before
    assert not (home / "hermes-iso").exists()
    assert main(["adopt", "--undo", "--yes", "--home", str(home)]) == 2
    assert "nothing to undo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--check", "--undo", "--home", "HOME"], "one of them"),
        (["--json", "--home", "HOME"], "--check"),
        (["--home", "/nowhere/at/all"], "no directory"),
    ],
)
def test_what_makes_no_sense_is_refused(home, words, said, capsys):
    """One sentence and exit code 2."""
    assert main(["adopt", "--yes", *(str(home) if word == "HOME" else word for word in words)]) == 2
    assert said in capsys.readouterr().err


def test_a_broken_profile_is_named_and_the_others_are_adopted(home, capsys):
    """Exit code 0; config check still tells the mistake with 2."""
    make_home(home / "profiles/bad", "model: [\n")
    assert main(["adopt", "--yes", "--home", str(home)]) == 0
    told = capsys.readouterr()
    assert f"bad: {home}/profiles/bad/config.yaml:2:" in told.err
    assert "Adopted: main, coder." in told.out
    assert main(["config", "check", "--home", str(home)]) == 2
    capsys.readouterr()
    assert main(["agent", "list", "--json", "--home", str(home)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [agent["id"] for agent in listed["agents"]] == ["main", "coder"]
    assert "profiles/bad/config.yaml:2:" in listed["not_served"]["bad"]
