"""`agent add` and `agent remove`: what they change, what they leave alone, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from hermes_iso.cli.main import main
from hermes_iso.profile_making import LAYOUT

CONFIG = """\
# The house of three.

model:   builtin/offline      # no key
agents:
    coder:                    # writes code
        personality: "I am coder."
        sandbox: {turn_timeout: 60,pids: 64}
    # the reader
    reader: {default: false}

routes:
- {match: {platform: telegram, chat_id: -100123}, agent: coder}   # work
- match: {platform: discord}
  agent: reader
platforms: {api_server: {enabled: true, extra: {key: "0123456789abcdef", keys: {
  dev: {key: "fedcba9876543210", agents: [coder]}}}}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Write a home with three agents."""
    home = tmp_path / "home"
    for name in ("coder", "reader"):
        (home / "profiles" / name / "skills" / "s").mkdir(parents=True)
        (home / "profiles" / name / "memories").mkdir()
    (home / "config.yaml").write_text(CONFIG)
    coder = home / "profiles" / "coder"
    (coder / "config.yaml").write_text("timezone: Europe/Berlin\n")
    (coder / ".env").write_text("CRM=secret\n")
    (coder / ".env").chmod(0o644)
    (coder / "SOUL.md").write_text("I am coder's soul.\n")
    (coder / "skills/s/SKILL.md").write_text("a skill")
    (coder / "memories/MEMORY.md").write_text("a memory")
    for name in ("state.db", "auth.json", "sessions/x", "workspace/x", "memories/other", "gateway.pid"):
        (coder / name).parent.mkdir(exist_ok=True)
        (coder / name).write_text("of coder alone")
    return home


def run(home: Path, *words: str) -> int:
    """Run a command of the group `agent`."""
    return main(["agent", *words, "--home", str(home)])


def files(home: Path) -> dict[str, str]:
    """Return all files of a tree."""
    return {str(path.relative_to(home)): path.read_text() for path in sorted(home.rglob("*")) if path.is_file()}


def test_add_makes_a_home_in_hermes_layout_and_one_line_of_config(home, capsys):
    """Nothing else of the config changes; the new home is private and the agent is served."""
    assert run(home, "add", "Helper", "--model", "builtin/offline") == 0
    added = "    helper:\n      model: builtin/offline\n"
    assert (home / "config.yaml").read_text() == CONFIG.replace("default: false}\n", f"default: false}}\n{added}")
    made = home / "profiles/helper"
    assert sorted(path.name for path in made.iterdir()) == sorted([*LAYOUT, ".env", "SOUL.md"])
    assert {stat.S_IMODE(path.stat().st_mode) for path in (made, *made.iterdir()) if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir() if path.is_file()} == {0o600}
    assert f"its home is {made}." in capsys.readouterr().out
    assert main(["config", "check", "--home", str(home)]) == 0
    assert "serves main, coder, helper, reader" in capsys.readouterr().out


def test_clone_takes_what_hermes_takes_and_nothing_of_the_sources_past(home):
    """Config, .env, persona, skills and memories; never sessions, state, credentials or work. The overlay comes along."""
    assert run(home, "add", "twin", "--clone-from", "coder") == 0
    twin = home / "profiles/twin"
    assert files(twin) == {
        ".env": "CRM=secret\n",
        "SOUL.md": "I am coder's soul.\n",
        "config.yaml": "timezone: Europe/Berlin\n",
        "memories/MEMORY.md": "a memory",
        "skills/s/SKILL.md": "a skill",
    }
    assert stat.S_IMODE((twin / ".env").stat().st_mode) == 0o600
    text = (home / "config.yaml").read_text()
    assert "    twin:\n      personality: I am coder.\n      sandbox:\n        turn_timeout: 60\n        pids: 64\n" in text


def test_clone_leaves_out_what_is_about_the_source_alone(home, tmp_path, capsys):
    """No second default agent, no home of another, no directory that two would write; the command says so."""
    (tmp_path / "data").mkdir()
    config = home / "config.yaml"
    config.write_text(f"agents: {{coder: {{default: true, sandbox: {{writable: [{tmp_path}/data], pids: 64}}}}}}\n")
    assert run(home, "add", "twin", "--clone-from", "coder") == 0
    assert "twin: {sandbox: {pids: 64}}}" in config.read_text()
    assert "about coder alone: default, sandbox.writable." in capsys.readouterr().out


def test_clone_of_main_leaves_the_gateways_own_settings_out(home):
    """Keys of the API, routes and agents are the root's; a profile gets neither them nor the API's key in .env."""
    (home / ".env").write_text("CRM=1\nAPI_SERVER_KEY=0123456789abcdef-2\nexport API_SERVER_PORT=1\n")
    assert run(home, "add", "twin", "--clone-from", "main") == 0
    assert (
        home / "profiles/twin/config.yaml"
    ).read_text() == "# The house of three.\n\nmodel:   builtin/offline      # no key\n\n"
    assert (home / "profiles/twin/.env").read_text() == "CRM=1\n"


def test_add_names_the_agent_where_only_named_ones_are_served(home):
    """A list in gateway.serve gets the name too, so that the agent is served."""
    (home / "config.yaml").write_text("gateway: {serve: [main, coder]}   # few\n")
    assert run(home, "add", "helper") == 0
    assert (home / "config.yaml").read_text() == "gateway: {serve: [main, coder, helper]}   # few\nagents:\n  helper: {}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for somebody else")
def test_what_root_adds_belongs_to_whom_the_home_belongs(home):
    """A gateway of an ordinary user can use what an administrator made in its home."""
    for path in (home, home / "profiles", home / "config.yaml"):
        os.chown(path, 1234, 2345)
    assert run(home, "add", "twin", "--clone-from", "coder") == 0
    made = [home / "config.yaml", home / "profiles/twin", *(home / "profiles/twin").rglob("*")]
    assert len(made) > 10
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(1234, 2345)}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("coder",), "There is an agent coder already"),
        (("main",), "There is an agent main already"),
        (("Root",), "'root' is a reserved name"),
        (("../x",), "can't be an agent's name"),
        (("new", "--clone-from", "codr"), "Agent 'codr' can't be cloned: there are: main, coder, reader."),
        (("new", "--model", "nobody/x"), "config.yaml:11: agents.new.model: 'nobody/x' names no known provider"),
        (("coder2", "--tools", "codng"), "config.yaml:11: agents.coder2.tools: "),
    ],
)
def test_add_refuses_and_changes_nothing(home, capsys, words, told):
    """Each refusal is exit 2 with the reason; neither the config nor a directory is touched."""
    before = files(home)
    assert run(home, "add", *words) == 2
    assert told in capsys.readouterr().err
    assert files(home) == before
    assert sorted(path.name for path in (home / "profiles").iterdir()) == ["coder", "reader"]


def test_add_takes_a_failed_clone_back(home, tmp_path, capsys):
    """A cloned home that would make the config wrong is gone again, and the errors name its file."""
    (tmp_path / "work").mkdir()
    (home / "profiles/coder/config.yaml").write_text(f"terminal: {{cwd: {tmp_path}/work}}\n")
    before = files(home)
    assert run(home, "add", "twin", "--clone-from", "coder") == 2
    assert f"{home}/profiles/twin/config.yaml:1: terminal.cwd: " in capsys.readouterr().err
    assert files(home) == before


def test_remove_takes_overlay_routes_and_keys_and_keeps_the_home(home, capsys):
    """What led to it is warned of and gone; a key that opened it alone opens nothing; every other byte is as it was."""
    before = files(home / "profiles/coder")
    assert run(home, "remove", "Coder", "--yes") == 0
    out, err = capsys.readouterr()
    assert f"warning: routes[0] ({home}/config.yaml:12) leads to it, and is removed with it" in err
    assert f"platforms.api_server.extra.keys.dev.agents[0] ({home}/config.yaml:16)" in err
    assert f"Its home is kept: {home}/profiles/coder" in out
    lines = CONFIG.splitlines(keepends=True)
    expected = "".join([*lines[:4], *lines[7:11], *lines[12:]]).replace("agents: [coder]", "agents: []")
    assert (home / "config.yaml").read_text() == expected
    after = files(home / "profiles/coder")
    assert ".hermes-iso-removed" in after
    assert {**before, ".hermes-iso-removed": after[".hermes-iso-removed"]} == after


def test_remove_takes_back_what_others_share_with_it(home, tmp_path, capsys):
    """A directory that is shared with nobody else, and the word to write to it, go from the other agents' overlays."""
    (tmp_path / "data").mkdir()
    both = "{{messages: {{to: [{0}], from: [{0}]}}, shared_paths: [{{name: d, path: {1}/data, with: [{0}]}}]}}"
    overlays = f"  coder: {both.format('reader', tmp_path)}\n  reader: {both.format('coder', tmp_path)}\n"
    (home / "config.yaml").write_text(f"agents:\n{overlays}")
    assert main(["config", "check", "--home", str(home)]) == 0
    assert run(home, "remove", "coder", "--yes") == 0
    assert capsys.readouterr().err.count("leads to it, and is removed with it") == 3
    assert (home / "config.yaml").read_text() == "agents:\n  reader: {messages: {to: [], from: []}, shared_paths: []}\n"


def test_removed_agent_is_not_found_again_but_can_be_added_again(home, capsys):
    """`serve: all` passes over the home that it left; adding it takes that home as it is."""
    (home / "config.yaml").write_text("gateway: {serve: all}\n")
    assert run(home, "remove", "coder", "--yes") == 0
    assert (home / "config.yaml").read_text() == "gateway: {serve: all}\n"
    run(home, "list", "--json")
    assert "coder" not in capsys.readouterr().out.partition('"agents"')[2]
    assert run(home, "add", "coder", "--clone-from", "reader") == 2
    assert "is there already" in capsys.readouterr().err
    assert run(home, "add", "coder") == 0
    assert "as it was" in capsys.readouterr().out
    assert (home / "profiles/coder/SOUL.md").read_text() == "I am coder's soul.\n"
    assert not (home / "profiles/coder/.hermes-iso-removed").exists()


def test_remove_with_its_home_deletes_files_and_sessions(home, capsys):
    """Only where that is asked for by name."""
    (home / "hermes-iso/agents/coder").mkdir(parents=True)
    assert run(home, "remove", "coder", "--yes", "--delete-home") == 0
    assert "is DELETED" in capsys.readouterr().out
    assert os.listdir(home / "profiles") == ["reader"]
    assert os.listdir(home / "hermes-iso/agents") == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("main", "--yes"), "Agent main can't be removed"),
        (("ghost", "--yes"), "There is no agent 'ghost'"),
        (("coder",), "nobody can be asked here, so say --yes"),
    ],
)
def test_remove_refuses_and_changes_nothing(home, capsys, words, told):
    """The root agent, an unknown one, and a question that nobody can answer are exit 2."""
    before = files(home)
    assert run(home, "remove", *words) == 2
    assert told in capsys.readouterr().err
    assert files(home) == before


def test_default_agent_is_not_removed(home, capsys):
    """Its messages would go to somebody else without a word."""
    (home / "config.yaml").write_text("default_agent: coder\n")
    assert run(home, "remove", "coder", "--yes") == 2
    assert "set default_agent to another agent first" in capsys.readouterr().err


def test_list_tells_who_is_not_served_and_why(home, capsys):
    """An agent that nobody asked to serve is listed with what would have to name it."""
    shutil.copytree(home / "profiles/reader", home / "profiles/idle")
    assert run(home, "list") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["AGENT", "MODEL", "TOOLS", "ENGINE", "HOME"]
    assert rows[1].endswith("served (default)")
    assert [row.split()[0] for row in rows[1:]] == ["main", "coder", "reader", "idle"]
    assert "not served: neither agents, a route, default_agent nor gateway.serve names it" in rows[4]
    run(home, "list", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert list(listed["not_served"]) == ["idle"]
    assert {agent["id"]: agent["served"] for agent in listed["agents"]} == {"main": True, "coder": True, "reader": True}
