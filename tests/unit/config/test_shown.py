"""Tests of hermes_iso.config.shown: nothing that an agent can write decides where another source leads."""

# ruff: noqa: E501  two sandboxes and their line stand side by side

import pytest

from hermes_iso_sandbox.confinement import Bind
from tests.support.homes import load, make_home, mistakes

MODEL = "model: builtin/offline\n"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def places(tmp_path):
    """Directories, and symlinks between them, that configs name; `/x` is the one that agent a writes."""
    for name in ("x/sub/deep", "x/dir", "y", "z/x"):
        make_home(tmp_path / name)
    for link, leads in (
        ("link", "x"),
        ("link-sub", "x/sub"),
        ("x/out", "../y"),
        ("far", "x/out"),
        ("around", "x/dir/../../y"),
    ):
        (tmp_path / link).symlink_to(leads)
    return tmp_path


def agents(**sandboxes):
    """Return a config with these agents, each with the text of its sandbox."""
    lines = (f"  {name}: {{sandbox: {{{sandbox}}}}}\n" for name, sandbox in sandboxes.items())
    return MODEL + "agents:\n" + "".join(lines)


WRITES_X = "agent a can write (agents.a.sandbox.writable[0] in HOME/config.yaml:3)"
READS_X = "agent a can read (agents.a.sandbox.readable[0] in HOME/config.yaml:3)"
KEEP = "; keep one of them, or name a directory elsewhere"


@pytest.mark.parametrize(
    ("one", "other", "line"),
    [
        pytest.param(
            "writable: [T/x]", "readable: [T/x/sub]", f"4: b.readable[0]: T/x/sub lies in T/x, which {WRITES_X}{KEEP}", id="in"
        ),
        pytest.param(
            "writable: [T/x]",
            "writable: [T/x/sub]",
            f"4: b.writable[0]: T/x/sub lies in T/x, which {WRITES_X}{KEEP}",
            id="both",
        ),
        pytest.param(
            "writable: [T/x]",
            "readable: [T/link-sub]",
            f"4: b.readable[0]: T/link-sub (which is T/x/sub) lies in T/x, which {WRITES_X}{KEEP}",
            id="in-by-a-symlink",
        ),
        pytest.param(
            "readable: [T/x]",
            "writable: [T/x/sub]",
            f"4: b.writable[0]: T/x/sub lies in T/x, which {READS_X}{KEEP}",
            id="holds",
        ),
        pytest.param(
            "writable: [T/x]",
            "writable: [T/link]",
            f"4: b.writable[0]: T/link (which is T/x) is a directory that {WRITES_X} as well; give each agent a directory of its own",
            id="same",
        ),
        pytest.param(
            "writable: [T/x]",
            "readable: [T/x/out]",
            f"4: b.readable[0]: T/x/out (which is T/y) is reached through T/x/out, in a directory that {WRITES_X}; name the target itself",
            id="through",
        ),
        pytest.param(
            "writable: [T/x]",
            "readable: [T/far]",
            f"4: b.readable[0]: T/far (which is T/y) is reached through T/x/out, in a directory that {WRITES_X}; name the target itself",
            id="through-two",
        ),
        pytest.param(
            "writable: [T/x]",
            "readable: [T/around]",
            f"4: b.readable[0]: T/around (which is T/y) is reached through T/x/dir, in a directory that {WRITES_X}; name the target itself",
            id="through-dots",
        ),
        pytest.param(
            "writable: [T/x], readable: [T/x/sub]",
            "",
            f"3: a.readable[0]: T/x/sub lies in T/x, which {WRITES_X}{KEEP}",
            id="own-in",
        ),
        pytest.param(
            "writable: [T/x, T/link-sub]",
            "",
            f"3: a.writable[1]: T/link-sub (which is T/x/sub) lies in T/x, which {WRITES_X}{KEEP}",
            id="own-spellings",
        ),
        pytest.param(
            "writable: [T/x], readable: [T/link]",
            "",
            f"3: a.readable[0]: T/link (which is T/x) is a directory that {WRITES_X} already; keep one of them",
            id="own-modes",
        ),
        pytest.param(
            "readable: [T/x, T/x/out]",
            "",
            f"3: a.readable[1]: T/x/out (which is T/y) is reached through T/x/out, in a directory that {READS_X}; name the target itself",
            id="own-through",
        ),
    ],
)
def test_directories_that_decide_over_each_other_are_refused(home, places, one, other, line):
    """Each with one line: file, line, key, both directories, who may what by which line, and what to do."""
    config = agents(a=one, b=other).replace("T/", f"{places}/")
    number, key, message = line.split(": ", 2)
    agent, _, key = key.partition(".")
    expected = f"HOME/config.yaml:{number}: agents.{agent}.sandbox.{key}: {message}"
    assert [each.replace(str(places), "T") for each in mistakes(home, config)] == [expected]


@pytest.mark.parametrize(
    ("one", "other", "binds"),
    [
        pytest.param("writable: [T/x]", "readable: [T/x]", [("x", "x", False)], id="reads-what-another-writes"),
        pytest.param("readable: [T/z]", "readable: [T/z/x]", [("z/x", "z/x", False)], id="both-read"),
        pytest.param("writable: [T/z]", "readable: [T/y]", [("y", "y", False)], id="apart"),
        pytest.param("", "writable: [T/x, T/link]", [("x", "link", True), ("x", "x", True)], id="one-directory-two-spellings"),
        pytest.param("", "writable: [T/x/sub, T/x, T/x/sub/deep]", [("x", "x", True)], id="visible-anyhow"),
        pytest.param("", "readable: [T/x, T/link-sub]", [("x/sub", "link-sub", False), ("x", "x", False)], id="reads-twice"),
        pytest.param("", "writable: [T/link]", [("x", "link", True)], id="operators-symlink"),
        pytest.param(
            "",
            "readable: [T/x], writable: [T/x/sub]",
            [("x", "x", False), ("x/sub", "x/sub", True)],
            id="writes-in-what-it-reads",
        ),
    ],
)
def test_directories_that_decide_nothing_are_shown(home, places, one, other, binds):
    """What no agent can lead elsewhere is bound: from where it really lies, at the path that was written."""
    config = load(home, agents(a=one, b=other).replace("T/", f"{places}/"))
    assert config.agents["b"].profile.binds == tuple(
        Bind(f"{places}/{source}", f"{places}/{target}", writable) for source, target, writable in binds
    )


def test_a_working_directory_is_compared_as_well(home, places):
    """terminal.cwd is writable, and its line is the profile's."""
    files = {"profiles/b/config.yaml": f"terminal: {{cwd: {places}/x/sub}}\n"}
    found = mistakes(home, agents(a=f"writable: [{places}/x]", b=""), files)
    assert found == [
        f"HOME/profiles/b/config.yaml:1: terminal.cwd: {places}/x/sub lies in {places}/x, which {WRITES_X}{KEEP}",
    ]


@pytest.mark.parametrize(
    ("name", "leads", "said"),
    [
        ("memories", "profiles/a/workspace/m", "lies in HOME/profiles/a/workspace, which agent a can write (workspace in"),
        ("skills", "profiles/a/home/m", "lies in HOME/profiles/a/home, which agent a can write (home in"),
        (
            "cache",
            "profiles/a/projects/m",
            "lies in HOME/profiles/a/projects, which agent a can write (agents.a.sandbox.writable[0]",
        ),
        (
            "plans",
            "profiles/a/workspace/../projects/out",
            "is reached through HOME/profiles/a/projects/out, in a directory that",
        ),
    ],
)
def test_an_own_directory_may_not_lead_into_what_the_agent_can_write(home, name, leads, said):
    """An operator's symlink there could be turned by the agent after the check."""
    dirs = ("workspace/m/", "home/m/", "projects/m/", "free/")
    make_home(home, agents(a=f"writable: [{home}/profiles/a/projects]"), {f"profiles/a/{each}": "" for each in dirs})
    (home / "profiles/a/projects/out").symlink_to(home / "profiles/a/free")
    (home / f"profiles/a/{name}").symlink_to(home / leads)
    (found,) = mistakes(home)
    assert found.startswith(f"HOME/profiles/a/{name}:1: {name}: HOME/profiles/a/{name} (which is HOME/")
    assert said in found


def test_two_own_directories_may_be_one(home):
    """Nobody gains a way: one directory under two names."""
    make_home(home, agents(a=""), {"profiles/a/notes/": ""})
    for name in ("memories", "plans"):
        (home / "profiles/a" / name).symlink_to("notes")
    sources = [bind.source for bind in load(home).agents["a"].profile.confinement().binds]
    assert sources.count(f"{home}/profiles/a/notes") == 2


@pytest.mark.parametrize(
    ("home_dir", "key", "said"),
    [
        (
            "workspace/link",
            "agents.b.home_dir",
            "HOME/workspace/link (which is T/y) is reached through HOME/workspace",
        ),
        ("T/x/out", "agents.b.home_dir", "T/x/out (which is T/y) is reached through T/x"),
        ("T/far", "agents.b.home_dir", "T/far (which is T/y) is reached through T/x"),
    ],
)
def test_a_home_that_an_agent_could_turn_elsewhere_is_refused(home, places, home_dir, key, said):
    """The way to a home leads through nothing that an agent can write."""
    make_home(home, files={"workspace/": ""})
    (home / "workspace/link").symlink_to(places / "y")
    config = agents(a=f"writable: [{places}/x]") + f"  b: {{home_dir: '{home_dir.replace('T', str(places))}'}}\n"
    (found,) = mistakes(home, config)
    found = found.replace(str(places), "T")
    assert found.startswith(f"HOME/config.yaml:4: {key}: {said}, which agent ")
    assert found.endswith("; move it")


@pytest.mark.parametrize("key", ["writable", "terminal.cwd", "memories"])
def test_a_home_in_what_another_agent_can_write_is_refused(home, places, key):
    """Whatever line makes the other agent able to write there, the two are never served together."""
    make_home(home, files={"profiles/a/": ""})
    if key == "memories":
        (home / "profiles/a/memories").symlink_to(places / "x")
    elif key == "terminal.cwd":
        make_home(home, files={"profiles/a/config.yaml": f"terminal: {{cwd: {places}/x}}\n"})
    sandbox = f"writable: [{places}/x]" if key == "writable" else ""
    (found,) = mistakes(home, agents(a=sandbox) + f"  b: {{home_dir: {places}/x/sub}}\n")
    assert f"{places}/x holds agent b's home or workspace; name a directory outside of it" in found


def test_the_root_home_is_not_reached_through_what_an_agent_can_write(places):
    """The path that the gateway was started with counts, also where main is not served."""
    make_home(places / "y", agents(a=f"writable: [{places}/x]") + "gateway: {serve: [a]}\ndefault_agent: a\n")
    assert mistakes(places / "x/out") == [
        f"HOME:1: home: HOME (which is {places}/y) is reached through {places}/x, which {WRITES_X}; move it"
    ]


def test_a_readable_directory_in_the_workspace_is_a_warning(home):
    """It is visible already, and stays writable."""
    config = load(home, agents(a="readable: [docs]"), {"profiles/a/workspace/docs/": ""})
    assert config.agents["a"].profile.binds == ()
    (warning,) = config.warnings
    assert warning.startswith(f"{home}/config.yaml:3: agents.a.sandbox.readable[0]: docs lies in the agent's own directories")
