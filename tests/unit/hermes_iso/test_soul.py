"""SOUL.md as a turn sees it: a generated copy, or with allow_soul_edit the file itself."""

import dataclasses
import os

import pytest

from hermes_iso.config.people import PERSONA
from hermes_iso.errors import ConfigError
from hermes_iso.explaining import explain
from hermes_iso.file_watch import look
from hermes_iso_sandbox.confinement import DataFile
from tests.support.homes import load

CONFIG = "model: builtin/offline\nagents: {a: {allow_soul_edit: true}, b: {}, c: {allow_soul_edit: true, tools: [memory]}}\n"
FILES = {f"profiles/{name}/SOUL.md": f"I am {name}.\n" for name in "abc"}
PATH = "/hermes/SOUL.md"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def seen(agent):
    """Return how SOUL.md appears in an agent's sandbox: the binds and the generated files of that path."""
    confinement = agent.confinement()
    binds = [bind for bind in confinement.binds if bind.target == PATH]
    return binds, [file for file in confinement.files if file.target == PATH]


def test_soul_is_the_file_itself_only_where_the_config_allows_it(home):
    """Elsewhere it is a copy; and an agent without a tool that writes gets it read-only all the same."""
    agents = load(home, CONFIG, FILES).agents
    [bind], files = seen(agents["a"])
    assert (bind.source, bind.writable, files) == (str(home / "profiles/a/SOUL.md"), True, [])
    assert seen(agents["b"]) == ([], [DataFile(PATH, b"I am b.\n")])
    [bind], _ = seen(agents["c"])
    assert not bind.writable
    assert [explain(agents[name], 7)["kernel"]["soul"] for name in "abc"] == ["rw", "ro", "ro"]


def test_turn_that_may_not_write_does_not_write_its_soul(home):
    """What a platform or session takes away holds for it as for the workspace."""
    agent = load(home, CONFIG, FILES).agents["a"]
    assert PATH in agent.narrowing(["memory"]).read_only
    assert agent.narrowing(["write_file"]).read_only == []


def test_missing_soul_is_made_and_another_file_is_another_confinement(home):
    """A bind keeps the file that it found: after a replacement by rename a new sandbox is made."""
    agent = load(home, CONFIG).agents["a"]
    first = agent.confinement()
    soul = home / "profiles/a/SOUL.md"
    assert (soul.read_text(), soul.stat().st_mode & 0o777) == ("", 0o600)
    soul.write_text("written in place")
    assert agent.confinement() == first
    (soul.parent / "new").write_text("written anew")
    (soul.parent / "new").replace(soul)
    assert agent.confinement() != first


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo", "second name"])
def test_anything_but_a_plain_file_is_refused(home, kind):
    """What it leads to, or is too, may be somebody else's."""
    agent = load(home, CONFIG).agents["a"]
    agent.profile.ensure_directories()
    soul, other = home / "profiles/a/SOUL.md", home / "other"
    other.write_text("secret")
    {
        "symlink": lambda: soul.symlink_to(other),
        "directory": soul.mkdir,
        "fifo": lambda: os.mkfifo(soul),
        "second name": lambda: soul.hardlink_to(other),
    }[kind]()
    with pytest.raises(ConfigError, match=r"SOUL\.md"):
        agent.confinement()


def test_persona_follows_the_file_that_the_agent_may_write(home):
    """From the next turn on; a personality comes before it, and other agents have what was read with the config."""
    config = CONFIG + "gateway: {serve: all}\n"
    agents = load(home, config.replace("b: {}", "b: {}, d: {allow_soul_edit: true, personality: fixed}"), FILES).agents
    for name in "abd":
        (home / f"profiles/{name}").mkdir(exist_ok=True)
        (home / f"profiles/{name}/SOUL.md").write_text(f"I am another {name}.\n")
    assert [agents[name].current_persona() for name in "abd"] == ["I am another a.", "I am b.", "fixed"]
    (home / "profiles/a/SOUL.md").write_text(" \n")
    assert agents["a"].current_persona() == "I am a."


def test_soul_that_main_may_write_is_nobody_elses(home):
    """Else main would speak through every agent without a SOUL.md of its own; a warning says so."""
    files = {"SOUL.md": "I am main.\n", "profiles/b/SOUL.md": "I am b.\n"}
    config = load(home, "model: builtin/offline\nagents: {main: {allow_soul_edit: true}, a: {}, b: {}}\n", files)
    assert [config.agents[name].persona for name in ("main", "a", "b")] == ["I am main.", PERSONA, "I am b."]
    assert [each for each in config.warnings if "agent a does not have the home's SOUL.md" in each]
    assert not [each for each in config.warnings if "agent b" in each]


def test_soul_of_another_owner_is_refused_where_owners_are_fixed(home):
    """`home chown` gave the agent's files to a uid that could not read this one."""
    agent = load(home, CONFIG, FILES).agents["a"]
    mine = os.stat(home / "profiles/a/SOUL.md").st_uid
    with pytest.raises(ConfigError, match=f"chown {mine + 1} "):
        dataclasses.replace(agent.profile, fixed_uid=mine + 1).confinement()
    assert dataclasses.replace(agent.profile, fixed_uid=mine).confinement().uid == mine


def test_what_agents_write_neither_causes_reloads_nor_holds_them_up(home):
    """A watch of the home's files leaves out a SOUL.md that is its agent's, under every name that leads there."""
    (home / "profiles").mkdir(parents=True)
    (home / "elsewhere").mkdir()
    (home / "profiles/a").symlink_to(home / "elsewhere")
    config = load(home, CONFIG.replace("c:", "main: {}, c:"))
    watched = {name.removeprefix(f"{home}/") for name in look(config) if name.endswith("SOUL.md")}
    assert watched == {"SOUL.md", "profiles/b/SOUL.md"}
    assert f"{home}/profiles/a/config.yaml" in look(config)
