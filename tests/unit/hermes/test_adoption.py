"""Adopting a home and giving it back, with homes that are made up and a package that is said to be there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from hermes_iso.config.load import load_config
from hermes_iso.config_file import ConfigFile
from hermes_iso.errors import ConfigError, HomeBusyError, UsageError
from hermes_iso.hermes import adoption
from hermes_iso.hermes.adoption import Wish, undo
from hermes_iso.hermes.config_lines import lines_for, recorded, undone
from hermes_iso.hermes.manifest import manifest_path, read_manifest
from hermes_iso.hermes.plan import make_plan
from hermes_iso.home_lock import hold_home
from tests.support.engines import ENGINE, make_engine
from tests.support.homes import make_home

CONFIG = f"""\
# what I wrote
{ENGINE}model: builtin/offline   # for now
agents:
  # the programmer
  coder: {{personality: "You code."}}
"""
FILES = {
    "state.db": "main's state",
    "profiles/coder/state.db": "coder's state",
    "profiles/coder/profile.yaml": "description: x\n",
    "profiles/coder/config.yaml": "_config_version: 33\n",
    "profiles/coder/home/": "",
}


@pytest.fixture
def home(tmp_path):
    """Make a home that looks like one of Hermes'."""
    make_engine(tmp_path / "home")
    return make_home(tmp_path / "home", CONFIG, FILES)


def tree(home):
    """Return everything of a home: what it is, its bytes, mode, owner and time."""
    found = {}
    for path in (home, *home.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(home))] = (content, status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
    return found


def adopt(home, gitconfig=b""):
    return adoption.adopt(home, Wish({}, gitconfig))


def decisions(home):
    return {each.agent: each.decision for each in make_plan(home, {}).candidates}


def test_adopting_writes_the_engines_and_keeps_every_comment(home):
    """config.yaml is the old text with lines more, and means that all agents are served by Hermes' engine."""
    adopt(home)
    assert (home / "config.yaml").read_text() == CONFIG.replace('"You code."}', '"You code.", engine: hermes}') + (
        "  main:\n    engine: hermes\ngateway:\n  serve: all\n"
    )
    config = load_config(home, {})
    assert {name: agent.engine for name, agent in config.agents.items()} == {"main": "hermes", "coder": "hermes"}
    assert (home / "profiles/coder/.agent/state.db").read_text() == "coder's state"


def test_undo_leaves_not_a_byte_nor_a_time_behind(home):
    """The whole tree is as before, also after adopting twice."""
    before = tree(home)
    adopt(home, b"[user]\n\tname = me\n")
    assert (home / "profiles/coder/home/.gitconfig").read_bytes() == b"[user]\n\tname = me\n"
    adopt(home)
    assert undo(home).notes == ()
    assert tree(home) == before


def test_undo_removes_a_config_that_adopt_made(home):
    """Also the file goes, where there was none before; the record says so."""
    file = ConfigFile(home / "config.yaml", home / "config.yaml", None)
    lines = lines_for(file, ["main"])
    assert lines.text == "agents:\n  main:\n    engine: hermes\ngateway:\n  serve: all\n"
    record = recorded(file, lines, None)
    assert undone(replace(file, content=lines.text.encode()), record) == (None, True)
    assert undone(replace(file, content=lines.text.encode() + b"x: 1\n"), record) == (b"x: 1\n", False)


def test_undo_keeps_what_others_have_written_into_the_config_since(home):
    """Only the lines of adopt go then, and a sentence says so."""
    adopt(home)
    config = home / "config.yaml"
    config.write_text(config.read_text().replace("for now", "for good") + "timezone: UTC\n")
    (note,) = undo(home).notes
    assert "edited since" in note
    assert config.read_text() == CONFIG.replace("for now", "for good") + "timezone: UTC\n"


def test_a_profile_that_comes_later_is_adopted_by_adopting_again(home):
    """What was adopted before stays so, and one undo gives back both."""
    before = tree(home)
    adopt(home)
    make_home(home / "profiles/late", "_config_version: 33\n")
    assert decisions(home) == {"main": "adopted", "coder": "adopted", "late": "adopt"}
    adopt(home)
    assert decisions(home)["late"] == "adopted"
    assert undo(home).agents == ("main", "coder", "late")
    assert (home / "config.yaml").read_bytes() == before["config.yaml"][0]
    assert not (home / "profiles/late/.agent").exists()


def test_a_broken_profile_is_left_and_the_others_are_adopted_and_served(home):
    """The reason has the line; a gateway serves the others and names it."""
    make_home(home / "profiles/broken", "model: [\n", {"profile.yaml": ""})
    make_home(home / "profiles/signed", "model: {provider: bedrock, default: x}\n")
    plan = adopt(home)
    found = {each.agent: each for each in plan.candidates}
    assert (found["broken"].decision, found["signed"].decision) == ("refused", "refused")
    assert f"{home}/profiles/broken/config.yaml:2:" in found["broken"].reasons[0]
    assert "provider bedrock can't be carried" in found["signed"].reasons[0]
    assert not (home / "profiles/broken/.agent").exists()
    config = load_config(home, {}, without_broken=True)
    assert [*config.agents] == ["main", "coder"]
    assert "profiles/broken/config.yaml:2:" in config.not_served["broken"]
    with pytest.raises(ConfigError):
        load_config(home, {})


def test_a_mistake_in_the_root_config_refuses_it_all(home):
    """It is everybody's: nothing is written, and the mistake has its line."""
    (home / "config.yaml").write_text("modle: x\n")
    before = tree(home)
    with pytest.raises(ConfigError, match=r"config\.yaml:1: modle"):
        adopt(home)
    assert tree(home).keys() == before.keys()


def test_agents_of_this_gateway_stay_what_they_are(tmp_path):
    """What init or agent add made, and what the config calls native, is not taken for Hermes'."""
    make_engine(tmp_path / "home")
    config = ENGINE + "model: builtin/offline\ngateway: {serve: all}\nagents: {ours: {}, kept: {engine: native}}\n"
    home = make_home(tmp_path / "home", config, {"profiles/ours/SOUL.md": "", "profiles/kept/state.db": "x"})
    make_home(home / "profiles/theirs", "_config_version: 33\n")
    assert decisions(home) == {"main": "native", "kept": "native", "ours": "native", "theirs": "adopt"}


def test_without_the_package_nothing_is_adopted(home):
    """The sentence says what is missing."""
    before = tree(home).keys()
    make_engine(home, "0.20.1")
    with pytest.raises(UsageError, match=r"has 0\.20\.1.*make hermes"):
        adopt(home)
    (home.parent / "python").unlink()
    with pytest.raises(UsageError, match=r"there is none at .*make hermes"):
        adopt(home)
    assert tree(home).keys() == before


def test_a_gateway_on_the_home_refuses_both_ways(home):
    """Whoever holds the home's lock keeps it."""
    adopt(home)
    with hold_home(home):
        with pytest.raises(HomeBusyError):
            undo(home)
        with pytest.raises(HomeBusyError):
            adopt(home)


def test_a_program_with_the_state_open_refuses_both_ways(home):
    """It is named with its pid."""
    script = "import sys; f = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", script, str(home / "state.db")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        with pytest.raises(UsageError, match=rf"in use: end .*\(pid {process.pid}\)"):
            adopt(home)
        process.stdin.close()
    adopt(home)


def test_a_live_gateway_of_hermes_refuses_both_ways_and_is_named(home):
    """The sentence says how to stop it; nothing is changed."""
    argv = ["hermes", "-c", "echo; read _", "gateway", "run"]
    with subprocess.Popen(argv, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        (home / "profiles/coder/gateway.pid").write_text(json.dumps({"pid": process.pid}))
        before = tree(home).keys()
        with pytest.raises(UsageError, match="stop it with: hermes -p coder gateway stop"):
            adopt(home)
        assert tree(home).keys() == before
        process.stdin.close()
    adopt(home)


def test_undo_without_adoption_says_so(home):
    """Nothing to undo is a sentence."""
    with pytest.raises(UsageError, match="nothing to undo"):
        undo(home)
    manifest_path(home).parent.mkdir()
    manifest_path(home).write_text('{"agents": 5}')
    with pytest.raises(UsageError, match="damaged"):
        undo(home)


def test_undo_refuses_what_an_agent_put_in_the_place_of_its_state(home, tmp_path):
    """Nothing changes until it is moved away, for any agent."""
    adopt(home)
    place = home / "profiles/coder/.agent/state.db"
    place.unlink()
    place.symlink_to(tmp_path / "elsewhere")
    before = tree(home)
    with pytest.raises(UsageError, match="no regular file"):
        undo(home)
    assert tree(home).keys() == before.keys()
    place.unlink()
    undo(home)
    assert not os.path.lexists(home / "profiles/coder/state.db")


def test_a_gitconfig_that_the_agent_changed_stays(home):
    """It is the agent's then, and a sentence says that it is there."""
    adopt(home, b"[user]\n")
    (home / "profiles/coder/home/.gitconfig").write_text("[user]\n\tname = other\n")
    (note,) = undo(home).notes
    assert "stays" in note


def test_the_manifest_is_private_and_holds_what_was_done(home):
    """0600 in a directory that is 0700: a config may hold keys."""
    adopt(home)
    path = manifest_path(home)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    manifest = read_manifest(home)
    assert [*manifest.agents] == ["main", "coder"]
    assert manifest.config.before == CONFIG
    assert json.loads(path.read_text())["agents"]["main"]["owners"]["state.db"]["mode"] == 0o644


CALLS = ("link", "rename", "replace", "symlink", "unlink", "fsync", "rmdir", "mkdir", "utime")


def killed(number, what):
    """Do something in a process that ends at its so many-th change of the file system; say whether it did."""
    child = os.fork()
    if child == 0:
        left = [number]
        for name in CALLS:
            real = getattr(os, name)

            def step(*words, real=real, **more):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*words, **more)

            setattr(os, name, step)
        try:
            what()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.slow
@pytest.mark.parametrize(("first", "stride"), [(1, 40), pytest.param(0, 2, marks=pytest.mark.long)])
def test_an_adoption_killed_at_any_step_can_be_undone_or_completed(home, first, stride):
    """Whatever was done by then: undo, or adopting again and then undo, gives back the whole tree."""
    content = b"[user]\n"
    before = without_times(tree(home))
    number = first
    while killed(number, lambda: adopt(home, content)):
        number += stride
        if number % 2 == 0:
            adopt(home, content)
            assert set(decisions(home).values()) == {"adopted"}
        if manifest_path(home).exists():
            undo(home)
        assert without_times(tree(home)) == before, number
    assert number > 40
    number = first
    while killed(number, lambda: undo(home)):
        number += stride
        if number % 2 == 0 and manifest_path(home).exists():
            adopt(home, content)
        if manifest_path(home).exists():
            undo(home)
        assert without_times(tree(home)) == before, number
        adopt(home, content)
    assert number > 20
    assert without_times(tree(home)) == before


def without_times(found):
    """Return a tree without the times of directories, and without a gateway's own directory, which may be left empty."""
    return {
        name: each[:4] if name == "." or each[1] & 0o040000 else each
        for name, each in found.items()
        if not name.startswith("hermes-iso")
    }
