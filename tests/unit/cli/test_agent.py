"""`agent list` and `agent show`."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli.main import main


@pytest.fixture
def home(tmp_path, capsys):
    """Make a home with the agents main and coder."""
    where = tmp_path / "home"
    main(["init", "--home", str(where), "--agents", "coder"])
    capsys.readouterr()
    return where


def test_list_names_every_agent_and_the_default(home, capsys):
    """Text for people and JSON for scripts tell the same agents."""
    assert main(["agent", "list", "--home", str(home)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["AGENT", "main", "coder"]
    assert "(default)" in rows[1]
    assert main(["agent", "list", "--json", "--home", str(home)]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(agent["id"], agent["default"]) for agent in listed["agents"]] == [("main", True), ("coder", False)]
    assert listed["not_served"] == {}


def test_show_tells_all_that_a_turn_gets(home, capsys):
    """The JSON of one agent has every fact, without a key."""
    assert main(["agent", "show", "coder", "--json", "--home", str(home)]) == 0
    agent = json.loads(capsys.readouterr().out)
    assert agent["model"] == {"provider": "builtin", "name": "offline", "base_url": ""}
    assert (agent["engine"], agent["isolation"], agent["cwd"]) == ("native", "namespace", "/workspace")
    assert agent["home"] == str(home / "profiles/coder")
    assert "terminal" in agent["tools"]
    assert {"memory", "cpu", "disk"} <= agent["not_bounded"].keys()
    assert agent["limits"]["turn_timeout"] == 600


def test_show_says_who_there_is_when_the_name_is_wrong(home, capsys):
    """An unknown agent is exit 2 and a sentence with the known ones."""
    assert main(["agent", "show", "codr", "--home", str(home)]) == 2
    assert "main, coder" in capsys.readouterr().err


def test_show_changes_nothing(home, capsys):
    """Looking at an agent makes no directory."""
    before = sorted(home.rglob("*"))
    main(["agent", "show", "coder", "--home", str(home)])
    main(["agent", "list", "--home", str(home)])
    assert sorted(home.rglob("*")) == before
