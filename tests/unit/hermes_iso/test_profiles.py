"""Tests of hermes_iso.profiles and hermes_iso.profile_files: what a turn of an agent may touch."""

import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.errors import ConfigError
from hermes_iso.profile_files import CONFIG_VERSION, config_inside
from hermes_iso_sandbox.confinement import Bind, Confinement, DataFile
from tests.support.homes import load, make_home

OWN = ("memories", "sessions", "skills", "plans", "cron", "cache", "sandboxes", "skins", ".agent")
CONFIG = "model: builtin/offline\nagents: {coder: {}}\n"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def coder(home, config=CONFIG, files=None, **environ):
    return load(home, config, files, **environ).agents["coder"].profile


def test_confinement_is_the_composed_view_and_nothing_else(home):
    """The whole value: the agent's own directories one by one, generated files, symlinks, environment."""
    where = home / "profiles/coder"
    profile = coder(home, files={"profiles/coder/.env": "MINE=1\nOPENAI_API_KEY=k\n", "profiles/coder/SOUL.md": "Coder.\n"})
    assert profile.confinement() == Confinement(
        home=where,
        name="coder",
        binds=(
            *(Bind(str(where / name), f"/hermes/{name}", writable=True) for name in OWN),
            Bind(str(where / "workspace"), "/workspace", writable=True),
            Bind(str(where / "home"), "/home/agent", writable=True),
        ),
        files=(
            DataFile("/hermes/.env", b"MINE=1\n"),
            DataFile("/hermes/config.yaml", b"_config_version: 33\n"),
            DataFile("/hermes/SOUL.md", b"Coder.\n"),
        ),
        symlinks=(("/hermes/workspace", "/workspace"), ("/hermes/home", "/home/agent"), (str(where), "/hermes")),
        env=(
            ("HOME", "/home/agent"),
            ("USER", "agent"),
            ("LANG", "C.UTF-8"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TERM", "dumb"),
            ("TZ", "UTC"),
            ("HERMES_HOME", "/hermes"),
            ("HERMES_ISO_AGENT", "coder"),
        ),
        env_file="/hermes/.env",
        cwd="/workspace",
    )


def test_confinement_of_main_shows_neither_profiles_nor_the_gateways_files(home):
    """The root home holds everybody's files; only main's own directories are bound."""
    config = load(home, CONFIG, {"hermes-iso/gateway.db": "x", "profiles/coder/memories/MEMORY.md": "x", "auth.json": "{}"})
    binds = config.agents["main"].profile.confinement().binds
    assert {bind.source for bind in binds} == {str(home / name) for name in (*OWN, "workspace", "home")}


def test_operators_directories_are_readable_where_they_exist(home):
    """The hooks and plugins appear read-only."""
    profile = coder(home, files={"profiles/coder/hooks/": "", "profiles/coder/plugins/": ""})
    shown = {bind.target: bind.writable for bind in profile.confinement().binds}
    assert (shown["/hermes/hooks"], shown["/hermes/plugins"]) == (False, False)


def test_confinement_is_equal_while_the_files_stand_still(home):
    """Equal files give equal values, so that the pool keeps its sandbox."""
    profile = coder(home)
    assert profile.confinement() == profile.confinement()


@pytest.mark.parametrize("name", [".env", "config.yaml", "SOUL.md"])
def test_confinement_changes_when_a_file_does(home, name):
    """An edited file reaches the next turn: another value, so another sandbox."""
    profile = coder(home)
    before = profile.confinement()
    (home / "profiles/coder" / name).write_text("timezone: Europe/Berlin\n" if name == "config.yaml" else "A=1\n")
    assert profile.confinement() != before


def test_env_lists_follow_the_file(home):
    """env_visible and env_held name what stands in `.env` now."""
    profile = coder(home, files={"profiles/coder/.env": "B=1\nA=1\nTELEGRAM_BOT_TOKEN=123456789:a_token\n"})
    assert (profile.env_visible, profile.env_held) == (("A", "B"), ("TELEGRAM_BOT_TOKEN",))


def test_a_name_that_any_served_agents_provider_refers_to_is_held(home):
    """One agent's provider key never reaches another agent's sandbox, whatever it is called."""
    config = """
        agents:
          coder: {}
          other: {model: {provider: custom, default: m, base_url: "http://127.0.0.1:1/v1", api_key: "${LAB_PASS}"}}
        model: builtin/offline
        """
    profile = coder(home, config, {".env": "LAB_PASS=x\n", "profiles/coder/.env": "LAB_PASS=y\nMINE=1\n"})
    assert profile.confinement().files[0].content == b"MINE=1\n"


def test_a_name_is_handed_back_with_a_warning(home):
    """`sandbox.env` lets a held name in, and the config warns."""
    config = load(
        home,
        "agents: {coder: {sandbox: {env: [GITHUB_TOKEN]}}}\nmodel: builtin/offline\n",
        {"profiles/coder/.env": "GITHUB_TOKEN=t\n"},
    )
    assert config.agents["coder"].profile.env_visible == ("GITHUB_TOKEN",)
    assert config.warnings == ("agent coder: sandbox.env lets GITHUB_TOKEN into its sandbox",)


def test_generated_config_holds_no_secret():
    """Keys, tokens, passwords, references and addresses with a password are dropped, at every depth; roots by allow list."""
    shown = config_inside(
        b"""
model: {default: x, api_key: s3cret}
providers: {a: {api_key: s3cret}}
telegram: {token: s3cret}
terminal: {cwd: /srv, backend: local, docker_env: {A: "${S3}"}, ssh_key: s3cret, remote: "http://u:s3cret@host/"}
agent: {max_turns: 9, list: [{password: s3cret, fine: 1}]}
"""
    )
    assert b"s3cret" not in shown
    assert yaml.safe_load(shown) == {
        "_config_version": 33,
        "terminal": {"cwd": "/srv", "backend": "local", "docker_env": {"A": ""}, "remote": ""},
        "agent": {"max_turns": 9, "list": [{"fine": 1}]},
    }


@pytest.mark.parametrize("text", [b"{broken", b"- a list", b"a: &x [*x]\n", b"\xff\xfe", b"!!python/object:os.system {}", b""])
def test_generated_config_is_the_version_alone_when_the_file_is_broken(text):
    """A file that broke since the start gives the agent no more than the version line."""
    assert config_inside(text) == b"_config_version: 33\n"


def test_directories_are_made_private(home):
    """Missing directories are made, 0700."""
    profile = coder(home)
    profile.ensure_directories()
    modes = {name: os.stat(home / "profiles/coder" / name).st_mode & 0o777 for name in (*OWN, "workspace", "home")}
    assert set(modes.values()) == {0o700}


def test_a_file_in_the_way_of_a_directory_is_refused(home):
    """What is not a directory is named, and left alone."""
    profile = coder(home, files={"profiles/coder/memories": "not a directory"})
    with pytest.raises(ConfigError, match=r"memories.*is not a directory, but the agent needs one there"):
        profile.confinement()


def test_a_symlink_put_there_after_the_check_is_refused(home, tmp_path):
    """A directory that leads elsewhere than when the config was read is not followed."""
    profile = coder(home)
    make_home(tmp_path / "elsewhere")
    (home / "profiles/coder").mkdir(parents=True)
    (home / "profiles/coder/memories").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="which was not checked"):
        profile.confinement()


def test_an_operators_symlink_is_followed(home, tmp_path):
    """A directory that is a symlink when the config is read is bound from where it leads."""
    make_home(tmp_path / "elsewhere")
    make_home(home / "profiles/coder")
    (home / "profiles/coder/memories").symlink_to(tmp_path / "elsewhere")
    binds = coder(home).confinement().binds
    assert Bind(str(tmp_path / "elsewhere"), "/hermes/memories", writable=True) in binds


def symlinked(path, to):
    """Put a symlink in a directory's place."""
    path.rename(path.with_name("moved"))
    path.symlink_to(to)


def emptied(path, _):
    """Take a directory away."""
    path.rename(path.with_name("moved"))


def filed(path, _):
    """Put a file in a directory's place."""
    path.rename(path.with_name("moved"))
    path.write_text("")


@pytest.mark.parametrize("place", ["data", "data/sub"])
@pytest.mark.parametrize("key", ["readable", "writable"])
@pytest.mark.parametrize(
    ("change", "found"),
    [(symlinked, "is a symlink"), (emptied, "can't be found"), (filed, "is no directory|can't be found")],
)
def test_a_source_that_moved_fails_its_agents_turns_alone(home, tmp_path, place, key, change, found):
    """What was checked is what is bound, also above a source; the other agents go on, and so does this one once it is back."""
    make_home(tmp_path / "data/sub")
    make_home(tmp_path / "other/sub")
    config = f"agents: {{coder: {{sandbox: {{{key}: [{tmp_path}/data/sub]}}}}}}\nmodel: builtin/offline\n"
    agents = load(home, config).agents
    before = agents["coder"].profile.confinement()
    change(tmp_path / place, tmp_path / "other")
    with pytest.raises(ConfigError, match=f"{tmp_path}/{place}.* ({found}).* now; put the directory back, or restart"):
        agents["coder"].profile.confinement()
    agents["main"].profile.confinement()
    (tmp_path / place).unlink(missing_ok=True)
    (tmp_path / place).with_name("moved").rename(tmp_path / place)
    assert agents["coder"].profile.confinement() == before


def test_an_operators_symlink_that_leads_on_is_refused(home, tmp_path):
    """A symlink that took the place of what an own directory leads to is not followed."""
    for name in ("elsewhere", "other", "home/profiles/coder"):
        make_home(tmp_path / name)
    (home / "profiles/coder/memories").symlink_to(tmp_path / "elsewhere")
    profile = coder(home)
    symlinked(tmp_path / "elsewhere", tmp_path / "other")
    with pytest.raises(ConfigError, match="which was not checked"):
        profile.confinement()


def test_a_symlink_in_the_place_of_a_home_is_refused(home, tmp_path):
    """A profile that is another one now is not shown, nor are its files."""
    make_home(tmp_path / "other", files={".env": "A=1\n"})
    profile = coder(home)
    profile.confinement()
    symlinked(home / "profiles/coder", tmp_path / "other")
    with pytest.raises(ConfigError, match=f"{home}/profiles/coder is a symlink now"):
        profile.confinement()


@pytest.mark.parametrize("name", ["hooks", "plugins"])
def test_an_operators_directory_that_a_symlink_stands_for_is_not_shown(home, tmp_path, name):
    """Hooks and plugins are shown when they are real directories only."""
    make_home(tmp_path / "elsewhere")
    make_home(home / "profiles/coder")
    (home / "profiles/coder" / name).symlink_to(tmp_path / "elsewhere")
    assert f"/hermes/{name}" not in {bind.target for bind in coder(home).confinement().binds}


@pytest.mark.parametrize("name", [".env", "config.yaml", "SOUL.md"])
def test_a_fifo_in_a_files_place_is_refused_at_once(home, name):
    """Reading never waits for a writer."""
    profile = coder(home)
    profile.ensure_directories()
    os.mkfifo(home / "profiles/coder" / name)
    with pytest.raises(ConfigError, match="is not a regular file"):
        profile.confinement()


@pytest.mark.parametrize(
    ("cwd", "inside"),
    [
        (".", "/workspace"),
        ("auto", "/workspace"),
        ("~", "/home/agent"),
        ("~/src", "/home/agent/src"),
        ("sub", "/workspace/sub"),
    ],
)
def test_cwd_in_the_agents_own_directories_needs_no_bind(home, cwd, inside):
    """`.` and `~` mean the agent's workspace and home."""
    files = {
        "profiles/coder/config.yaml": f"terminal: {{cwd: '{cwd}'}}\n",
        "profiles/coder/home/src/": "",
        "profiles/coder/workspace/sub/": "",
    }
    profile = coder(home, files=files)
    assert (profile.cwd, profile.binds) == (inside, ())


def test_cwd_elsewhere_is_bound_at_its_own_path(home, tmp_path):
    """A configured working directory keeps its absolute path inside, writable."""
    make_home(tmp_path / "project")
    profile = coder(home, files={"profiles/coder/config.yaml": f"terminal: {{cwd: {tmp_path}/project}}\n"})
    assert profile.confinement().cwd == f"{tmp_path}/project"
    assert profile.binds == (Bind(f"{tmp_path}/project", f"{tmp_path}/project", writable=True),)


def test_cwd_through_a_symlink_keeps_its_spelling(home, tmp_path):
    """What is bound is resolved on the host; where it appears is as written."""
    make_home(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    profile = coder(home, files={"profiles/coder/config.yaml": f"terminal: {{cwd: {tmp_path}/link}}\n"})
    assert profile.binds == (Bind(f"{tmp_path}/real", f"{tmp_path}/link", writable=True),)


def test_cwd_in_the_profile_appears_below_hermes(home):
    """A further directory of the profile is bound by itself, where the profile's symlink leads."""
    files = {
        "profiles/coder/projects/": "",
        "profiles/coder/config.yaml": f"terminal: {{cwd: {home}/profiles/coder/projects}}\n",
    }
    profile = coder(home, files=files)
    assert profile.cwd == "/hermes/projects"
    assert profile.binds == (Bind(f"{home}/profiles/coder/projects", "/hermes/projects", writable=True),)


def test_nested_directories_are_bound_once(home, tmp_path):
    """What is visible already, at the same path and in the same mode, is not bound again."""
    make_home(tmp_path / "in/deep")
    make_home(tmp_path / "out/deep")
    sandbox = f"readable: [{tmp_path}/in/deep, {tmp_path}/in], writable: [{tmp_path}/out, {tmp_path}/out/deep]"
    profile = coder(home, f"agents: {{coder: {{sandbox: {{{sandbox}}}}}}}\nmodel: builtin/offline\n")
    assert profile.binds == (
        Bind(f"{tmp_path}/in", f"{tmp_path}/in"),
        Bind(f"{tmp_path}/out", f"{tmp_path}/out", writable=True),
    )


def test_no_bind_lies_in_a_writable_one(home, tmp_path):
    """A mount point is never made in a directory that an agent can write."""
    for name in ("a", "a/b", "c"):
        make_home(tmp_path / name)
    sandbox = f"writable: [{tmp_path}/a, {tmp_path}/a/b, {tmp_path}/c], readable: [{tmp_path}/c]"
    with pytest.raises(ConfigError, match=r"agent coder can write .* already; keep one"):
        coder(home, f"agents: {{coder: {{sandbox: {{{sandbox}}}}}}}\nmodel: builtin/offline\n")


def test_path_entries_come_before_the_systems(home):
    """`sandbox.path` is put in front, `~` is the home inside."""
    profile = coder(home, "agents: {coder: {sandbox: {path: ['~/bin', /opt/x/bin]}}}\nmodel: builtin/offline\n")
    assert dict(profile.confinement().env)["PATH"].startswith("/home/agent/bin:/opt/x/bin:/usr/local/sbin:")


def test_profile_in_a_place_that_means_something_inside_gets_no_symlink(home):
    """A home whose path lies in a writable bind's target has no symlink: no name is ever made there."""
    profile = coder(home)
    import dataclasses

    moved = dataclasses.replace(profile, spellings=("/home/agent/.hermes", "/workspace/x", "/srv/h"))
    assert moved.confinement().symlinks[2:] == (("/srv/h", "/hermes"),)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("a:#-'\" \n~&*1é", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=6,
)
ROOTS = ("agent", "terminal", "tools", "routes", "bindings", "agents")


@given(st.lists(st.tuples(st.sampled_from(ROOTS), VALUES), unique_by=lambda pair: pair[0]), st.booleans())
def test_what_is_not_shown_makes_no_difference_to_what_is(pairs, flow):
    """The generated config.yaml is the same with and without the roots that are left out when it is read."""
    whole, shown = dict(pairs), {key: value for key, value in pairs if key in ROOTS[:3]}
    texts = [yaml.safe_dump(data, default_flow_style=flow, sort_keys=False).encode() for data in (whole, shown)]
    assert config_inside(texts[0]) == config_inside(texts[1])
    assert yaml.safe_load(config_inside(texts[0])) == {"_config_version": CONFIG_VERSION, **shown}
