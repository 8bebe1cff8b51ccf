"""Tests of hermes_iso.config.shared: a directory is shared by the word of everybody who shares it, and by nobody else's."""

# ruff: noqa: E501  a config and its lines stand side by side

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hermes_iso.config.load import load_config
from hermes_iso.errors import ConfigError
from hermes_iso_sandbox.confinement import Bind
from tests.support.homes import load, make_home, mistakes


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path):
    """Directories to share: T/data, T/data/in, T/other, and T/link that leads to T/data."""
    for name in ("data/in", "other"):
        make_home(tmp_path / name)
    (tmp_path / "link").symlink_to("data")
    return tmp_path


def agents(**entries):
    """Return a config with these agents, each with the text of its shared_paths."""
    lines = (f"  {name}: {{shared_paths: [{text}]}}\n" for name, text in entries.items())
    return "model: builtin/offline\nagents:\n" + "".join(lines)


def share(partners, path="T/data", name="data", mode="rw"):
    """Return one entry."""
    return f"{{name: {name}, path: {path}, mode: {mode}, with: [{partners}]}}"


def shared_binds(config, agent):
    """Return the binds of an agent below /shared."""
    return [bind for bind in config.agents[agent].profile.confinement().binds if bind.target.startswith("/shared/")]


def test_both_sides_get_the_directory_each_in_its_mode(home, data):
    """The same directory at the same path inside; ro is the default; a third agent has nothing."""
    text = agents(a=share("b"), b=share("A", path="T/link", mode="ro"), c="").replace("T/", f"{data}/")
    config = load(home, text)
    assert shared_binds(config, "a") == [Bind(f"{data}/data", "/shared/data", True)]
    assert shared_binds(config, "b") == [Bind(f"{data}/data", "/shared/data", False)]
    assert shared_binds(config, "c") == shared_binds(config, "main") == []
    assert "/shared/data" in config.agents["a"].profile.workplaces


def test_an_agents_own_directory_can_be_shared_as_a_whole(home, data):
    """What lies in a partner's home is allowed when the partner names it too: here its workspace."""
    make_home(home, files={"profiles/a/workspace/": ""})
    config = load(home, agents(a=share("b", path=".", name="ws"), b=share("a", path=f"{home}/profiles/a/workspace", name="ws")))
    assert shared_binds(config, "b") == [Bind(f"{home}/profiles/a/workspace", "/shared/ws", True)]


def test_three_share_when_each_names_both_others(home, data):
    """More than two can share, by the word of each to each."""
    config = load(home, agents(a=share("b, c"), b=share("a, c"), c=share("a, b")).replace("T/", f"{data}/"))
    assert all(len(shared_binds(config, agent)) == 1 for agent in "abc")


@pytest.mark.parametrize(
    ("entries", "lines"),
    [
        pytest.param(
            {"a": share("b"), "b": ""},
            ["3: agents.a.shared_paths[0].with: agent b does not share data; add {name: data, path: T/data, mode: ro, with: [a]} to agents.b.shared_paths"],
            id="one-sided",
        ),
        pytest.param(
            {"a": share("main")},
            ["3: agents.a.shared_paths[0].with: agent main does not share data; add {name: data, path: T/data, mode: ro, with: [a]} to agents.main.shared_paths"],
            id="one-sided-without-overlay",
        ),
        pytest.param(
            {"a": share("b"), "b": share("c"), "c": share("b")},
            [
                "4: agents.b.shared_paths[0].with: leaves out a, who shares this directory too (agents.a.shared_paths[0] in HOME/config.yaml:3); add a",
                "5: agents.c.shared_paths[0].with: leaves out a, who shares this directory too (agents.a.shared_paths[0] in HOME/config.yaml:3); add a",
                "3: agents.a.shared_paths[0].with: leaves out c, who shares this directory too (agents.c.shared_paths[0] in HOME/config.yaml:5); add c",
            ],
            id="named-by-a-stranger",
        ),
        pytest.param(
            {"a": share("b"), "b": share("a, c"), "c": share("b")},
            [
                "3: agents.a.shared_paths[0].with: leaves out c, who shares this directory too (agents.c.shared_paths[0] in HOME/config.yaml:5); add c",
                "5: agents.c.shared_paths[0].with: leaves out a, who shares this directory too (agents.a.shared_paths[0] in HOME/config.yaml:3); add a",
            ],
            id="through-a-third",
        ),
        pytest.param(
            {"a": share("b"), "b": share("a", path="T/other")},
            [
                "3: agents.a.shared_paths[0].path: T/data is not what agent b shares as data: T/other (agents.b.shared_paths[0] in HOME/config.yaml:4); name one path",
                "4: agents.b.shared_paths[0].path: T/other is not what agent a shares as data: T/data (agents.a.shared_paths[0] in HOME/config.yaml:3); name one path",
            ],
            id="another-path",
        ),
        pytest.param(
            {"a": share("b") + ", " + share("b", name="two"), "b": share("a") + ", " + share("a", name="two", path="T/other")},
            [
                "3: agents.a.shared_paths[1].path: T/data is shared twice (agents.a.shared_paths[0] in HOME/config.yaml:3); keep one of them",
                "3: agents.a.shared_paths[1].path: T/data is not what agent b shares as two: T/other (agents.b.shared_paths[1] in HOME/config.yaml:4); name one path",
                "4: agents.b.shared_paths[1].path: T/other is not what agent a shares as two: T/data (agents.a.shared_paths[1] in HOME/config.yaml:3); name one path",
            ],
            id="twice",
        ),
        pytest.param(
            {"a": share("b") + ", " + share("b", path="T/other"), "b": share("a")},
            ["3: agents.a.shared_paths[1].name: 'data' is the name of two shared paths; give each its own"],
            id="a-name-twice",
        ),
        pytest.param(
            {"a": share("b"), "b": share("a") + ", " + share("c", name="in", path="T/data/in"), "c": share("b", name="in", path="T/data/in")},
            [
                "4: agents.b.shared_paths[1]: T/data/in lies in T/data, which agent a can write (agents.a.shared_paths[0] in HOME/config.yaml:3); keep one of them, or name a directory elsewhere",
                "4: agents.b.shared_paths[1]: T/data/in lies in T/data, which agent b can write (agents.b.shared_paths[0] in HOME/config.yaml:4); keep one of them, or name a directory elsewhere",
                "5: agents.c.shared_paths[0]: T/data/in lies in T/data, which agent a can write (agents.a.shared_paths[0] in HOME/config.yaml:3); keep one of them, or name a directory elsewhere",
                "5: agents.c.shared_paths[0]: T/data/in lies in T/data, which agent b can write (agents.b.shared_paths[0] in HOME/config.yaml:4); keep one of them, or name a directory elsewhere",
            ],
            id="nested",
        ),
        pytest.param({"a": share("a")}, ["3: agents.a.shared_paths[0].with[0]: is the agent itself; remove it"], id="itself"),
        pytest.param(
            {"a": share("")},
            ["3: agents.a.shared_paths[0].with: names nobody; write the agents to share with, or remove the entry"],
            id="nobody",
        ),
        pytest.param(
            {"a": share("b", name="../x"), "b": ""},
            ["3: agents.a.shared_paths[0].name: '../x' can't be a name; use up to 64 of a-z, 0-9, _ and -, the first a letter or digit"],
            id="name",
        ),
        pytest.param({"a": share("b", mode="rwx"), "b": share("a")}, ["3: agents.a.shared_paths[0].mode: must be 'ro' or 'rw', found 'rwx'"], id="mode"),
        pytest.param({"a": "{path: T/data, with: [b]}", "b": ""}, ["3: agents.a.shared_paths[0].name: is missing; add it"], id="no-name"),
        pytest.param({"a": "{name: data, with: [b]}", "b": ""}, ["3: agents.a.shared_paths[0].path: is missing; add it"], id="no-path"),
        pytest.param({"a": "{name: data, path: T/data}"}, ["3: agents.a.shared_paths[0].with: is missing; add it"], id="no-with"),
        pytest.param({"a": "5"}, ["3: agents.a.shared_paths[0]: must be a mapping, found a number; correct it"], id="no-mapping"),
        pytest.param(
            {"a": "{name: data, path: T/data, wit: [b], with: [b]}", "b": ""},
            ["3: agents.a.shared_paths[0].wit: unknown key; did you mean 'with'?", "3: agents.a.shared_paths[0].with: agent b does not share data; add {name: data, path: T/data, mode: ro, with: [a]} to agents.b.shared_paths"],
            id="unknown-key",
        ),
        pytest.param({"a": share("b", path="T/nope"), "b": ""}, ["3: agents.a.shared_paths[0].path: T/nope does not exist; make it: mkdir -p T/nope"], id="missing"),
        pytest.param({"a": share("b", path="/etc"), "b": ""}, ["3: agents.a.shared_paths[0].path: /etc belongs to the system; name another directory"], id="system"),
        pytest.param(
            {"a": share("b", path="HOME"), "b": ""},
            ["3: agents.a.shared_paths[0].path: HOME holds agent b's home or workspace; name a directory outside of it"],
            id="gateways-home",
        ),
        pytest.param(
            {"a": share("b", path="HOME/profiles/c"), "b": share("a", path="HOME/profiles/c"), "c": ""},
            [
                "3: agents.a.shared_paths[0].path: HOME/profiles/c lies in agent c's home or workspace; name a directory outside of it",
                "4: agents.b.shared_paths[0].path: HOME/profiles/c lies in agent c's home or workspace; name a directory outside of it",
            ],
            id="a-strangers-home",
        ),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line(home, data, entries, lines):
    """Every way in which two words disagree is said where it is to be mended."""
    make_home(home, files={"profiles/c/workspace/": ""} if "c" in entries else {})
    text = agents(**entries).replace("T/", f"{data}/").replace("HOME", str(home))
    found = [line.replace(str(data), "T") for line in mistakes(home, text)]
    assert sorted(found) == sorted(f"HOME/config.yaml:{line}" for line in lines)


@settings(max_examples=60)
@given(
    st.dictionaries(st.sampled_from("abcd"), st.sets(st.sampled_from("abcd")), max_size=4)
    | st.sets(st.sampled_from("abcd"), min_size=2).map(lambda group: dict.fromkeys(group, group))
)
def test_a_directory_is_shared_by_those_who_all_name_each_other_or_by_nobody(wishes):
    """Whatever anybody writes: the config loads only when everybody with an entry names exactly all others with one."""
    wishes = {agent: sorted(names - {agent}) for agent, names in wishes.items()}
    with tempfile.TemporaryDirectory() as place:
        data = make_home(Path(place).resolve() / "data")
        entries = {agent: share(", ".join(wishes[agent])) if agent in wishes else "" for agent in "abcd"}
        home = make_home(data.parent / "home", agents(**entries).replace("T/", f"{data.parent}/"))
        agreed = all(set(names) == set(wishes) - {agent} and names for agent, names in wishes.items())
        try:
            config = load_config(home, {})
        except ConfigError:
            assert not agreed
            return
        assert agreed
        assert {agent for agent in config.agents if shared_binds(config, agent)} == set(wishes)


def test_partner_must_exist(home, data):
    """A name that is no agent's is said with what to do."""
    found = mistakes(home, agents(a=share("bb"), b="").replace("T/", f"{data}/"))
    assert found == ["HOME/config.yaml:3: agents.a.shared_paths[0].with[0]: there is no agent 'bb'; did you mean 'b'?"]
