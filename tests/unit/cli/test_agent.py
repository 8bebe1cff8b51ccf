"""`agent list` and `agent show`."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli.main import main
from hermes_iso_sandbox.cgroups import find
from hermes_iso_sandbox.enforcement import not_bounded
from tests.support.homes import make_home


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
    assert agent["limits"]["turn_timeout"] == 600


def test_show_tells_each_limit_and_how_it_is_kept(home, capsys):
    """Every limit has its value and by what it is kept; what nothing keeps is in the list of what is not bounded."""
    main(["agent", "show", "coder", "--json", "--home", str(home)])
    agent = json.loads(capsys.readouterr().out)
    wanted = {"memory": 512 << 20, "pids": 128, "cpu": 1.0, "disk": 2 << 30, "inodes": 200_000}
    assert {name: agent["limits"][name] for name in wanted} == wanted
    assert wanted.keys() <= agent["enforced"].keys()
    unkept = {name for name, how in agent["enforced"].items() if how.startswith("not bounded")}
    assert unkept == agent["not_bounded"].keys() == not_bounded(find()).keys()
    main(["agent", "show", "coder", "--home", str(home)])
    assert f"512M ({agent['enforced']['memory']})" in capsys.readouterr().out


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


def test_show_tells_what_it_shares(tmp_path, capsys):
    """Shared directories with their mode, and with whom it exchanges messages; all that is offered counts as all."""
    data = tmp_path / "data"
    data.mkdir()
    one, other = (
        f"shared_paths: [{{name: d, path: {data}, mode: {mode}, with: [{partner}]}}]"
        for mode, partner in (("rw", "b"), ("ro", "a"))
    )
    config = (
        f"model: builtin/offline\nagents:\n  a: {{{one}, messages: {{to: [b]}}}}\n  b: {{{other}, messages: {{from: [a]}}}}\n"
    )
    home = make_home(tmp_path / "home", config)
    main(["agent", "show", "a", "--json", "--home", str(home)])
    agent = json.loads(capsys.readouterr().out)
    assert agent["shared_paths"] == [{"name": "d", "path": str(data), "mode": "rw"}]
    assert agent["messages"] == {"to": ["b"], "from": []}
    assert "send_message" in agent["tools"]
    main(["agent", "show", "b", "--home", str(home)])
    shown = capsys.readouterr().out
    assert f"d (ro) {data}" in shown
    assert "from a" in shown
    assert "send_message" not in shown
    main(["agent", "list", "--home", str(home)])
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()[1:]] == ["all"] * 3


def test_show_tells_what_it_may_delegate_and_what_its_engine_lacks(tmp_path, capsys):
    """Subagents with their bounds and model, a writable SOUL.md, and listed tools that nobody offers."""
    overlay = (
        "{tools: [memory, web_search, delegation], allow_soul_edit: true, subagents: {max_children: 2, model: builtin/offline}}"
    )
    home = make_home(tmp_path / "home", f"model: builtin/offline\nagents: {{fam: {overlay}}}\n")
    main(["agent", "show", "fam", "--json", "--home", str(home)])
    agent = json.loads(capsys.readouterr().out)
    assert (agent["tools"], agent["tools_not_offered"]) == (["memory", "delegate_task"], ["web_search"])
    assert agent["subagents"] == {"max_depth": 1, "max_children": 2, "model": "builtin/offline"}
    assert agent["allow_soul_edit"] is True
    main(["agent", "show", "main", "--json", "--home", str(home)])
    agent = json.loads(capsys.readouterr().out)
    assert (agent["tools_not_offered"], agent["allow_soul_edit"]) == ([], False)
    assert agent["subagents"] == {"max_depth": 1, "max_children": 5, "model": None}
    main(["agent", "show", "fam", "--home", str(home)])
    assert "max_depth 1, max_children 2, model builtin/offline" in capsys.readouterr().out
