"""Tests of hermes_iso.config.load: what a home that is right gives."""

import contextlib
import subprocess

import pytest

from hermes_iso.config.live_gateway import is_hermes_gateway
from hermes_iso.config.load import load_config
from hermes_iso.errors import ConfigError
from hermes_iso.rules import RouteRule
from hermes_iso_sandbox import Limits
from tests.support.homes import load, make_home, mistakes

MODEL = "model: builtin/offline\n"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_a_home_without_a_config_serves_main(home):
    """A missing config.yaml is allowed: agent main, no API, and a warning that there is no model."""
    config = load(home)
    assert (list(config.agents), config.default_agent, config.routes, config.api) == (["main"], "main", (), None)
    assert (config.agents["main"].model.provider, len(config.warnings)) == ("none", 1)
    assert f"model in {home}/config.yaml" in config.agents["main"].model.key_hint


def test_loading_changes_nothing(home):
    """Only files are read: no directory appears."""
    load(home, "agents: {coder: {}}\n" + MODEL)
    assert [path.name for path in home.rglob("*")] == ["config.yaml"]


def test_a_missing_home_says_how_to_make_one(tmp_path):
    """The error names the command."""
    with pytest.raises(ConfigError, match="home: does not exist; make a home with: hermes-iso init --home"):
        load_config(tmp_path / "none", {})


@pytest.mark.parametrize(
    ("config", "served"),
    [
        (MODEL, ["main"]),
        (MODEL + "agents: {declared: {}}\n", ["main", "declared"]),
        (MODEL + "default_agent: alpha\n", ["main", "alpha"]),
        (MODEL + "routes: [{match: {platform: telegram}, agent: beta}]\n", ["main", "beta"]),
        (MODEL + "gateway: {serve: all}\n", ["main", "alpha", "beta"]),
        (MODEL + "gateway: {serve: [beta, Main]}\n", ["main", "beta"]),
        (MODEL + "gateway: {serve: [beta]}\ndefault_agent: beta\n", ["beta"]),
        (MODEL + "multiplex_profiles: true\n", ["main", "alpha", "beta"]),
        (MODEL + "gateway: {multiplex_profiles: 'yes'}\n", ["main", "alpha", "beta"]),
        (MODEL + "multiplex_profiles: false\ngateway: {multiplex_profiles: true}\n", ["main"]),
    ],
)
def test_served_agents_follow_the_rules(home, config, served):
    """`serve` decides; without it main, whoever the config names, and all profiles when multiplexed."""
    profiles = {"profiles/alpha/": "", "profiles/beta/": "", "profiles/.hidden/": "", "profiles/README": "a file"}
    assert list(load(home, config, profiles).agents) == served


def test_the_environment_may_multiplex(home):
    """GATEWAY_MULTIPLEX_PROFILES counts before the config, as in Hermes."""
    files = {"profiles/alpha/": ""}
    assert list(load(home, MODEL, files, GATEWAY_MULTIPLEX_PROFILES="on").agents) == ["main", "alpha"]
    assert list(load(home, MODEL + "multiplex_profiles: true\n", files, GATEWAY_MULTIPLEX_PROFILES="0").agents) == ["main"]


def test_directories_that_are_no_profiles_are_ignored_with_a_warning(home):
    """A name that Hermes would not take is not served."""
    config = load(home, MODEL + "gateway: {serve: all}\n", {"profiles/My Agent/": "", "profiles/tmp/": ""})
    assert list(config.agents) == ["main"]
    assert [warning.split("ignored: ")[1] for warning in config.warnings] == [
        "'My Agent' is not a profile's name",
        "'tmp' is a reserved name",
    ]


def test_agents_are_resolved(home):
    """Every key of an agent reaches it; ids are compared as Hermes compares them."""
    config = load(
        home,
        """
        model: builtin/offline
        agents:
          Coder:
            default: true
            model: {default: m, provider: custom, base_url: "http://127.0.0.1:9/v1/"}
            personality: You code.
            home_dir: clients/coder
            sandbox: {turn_timeout: 5, background_timeout: 7}
        """,
        {"clients/coder/config.yaml": "agent: {max_turns: 3}\n"},
    )
    coder = config.agents["coder"]
    assert config.default_agent == "coder"
    assert (coder.id, coder.ns, coder.persona, coder.engine) == ("coder", "coder", "You code.", "native")
    assert (coder.turn_timeout, coder.background_timeout, coder.max_iterations) == (5, 7, 3)
    assert coder.profile.home == home / "clients/coder"
    assert coder.profile.background_timeout == 7
    assert (coder.model.provider, coder.model.model, coder.model.base_url) == ("custom", "m", "http://127.0.0.1:9/v1")


def test_persona_comes_from_the_nearest_place(home):
    """personality, else the profile's SOUL.md, else the root's, else the built-in one."""
    files = {"SOUL.md": "root\n", "profiles/a/SOUL.md": "a\n", "profiles/b/SOUL.md": " \n", "profiles/c/SOUL.md": "c\n"}
    config = load(home, MODEL + "agents: {a: {}, b: {}, c: {personality: told}}\n", files)
    assert {name: agent.persona for name, agent in config.agents.items()} == {
        "main": "root",
        "a": "a",
        "b": "root",
        "c": "told",
    }
    assert "helpful assistant" in load(home.parent / "other", MODEL).agents["main"].persona


def test_a_long_or_broken_soul_is_a_warning(home):
    """SOUL.md is cut at 64 KiB, and bad bytes are replaced."""
    make_home(home, MODEL)
    (home / "SOUL.md").write_bytes(b"x" * 70_000)
    config = load_config(home, {})
    assert len(config.agents["main"].persona) == 64 << 10
    assert "longer than 64 KiB" in config.warnings[0]
    (home / "SOUL.md").write_bytes(b"a\xffb")
    config = load_config(home, {})
    assert config.agents["main"].persona == "a\ufffdb"
    assert "not UTF-8" in config.warnings[0]


def test_settings_of_an_agent_are_its_own_else_the_roots(home):
    """max_turns of a profile's config counts for it; without one the root's does, and 90 without any."""
    files = {"profiles/a/config.yaml": "agent: {max_turns: 5}\n", "profiles/b/": ""}
    config = load(home, MODEL + "agent: {max_turns: 7}\ngateway: {serve: all}\n", files)
    assert [agent.max_iterations for agent in config.agents.values()] == [7, 5, 7]
    assert load(home, MODEL).agents["main"].max_iterations == 90


def test_ids_in_routes_are_the_text_in_the_file(home):
    """An id is never a number: 0123 stays 0123, and quotes make no difference."""
    config = load(
        home,
        """
        model: builtin/offline
        routes:
          - {match: {platform: Telegram, chat_id: -100123, thread_id: 0123}, agent: main}
          - {match: {platform: telegram, chat_id: "-100123"}, agent: main, enabled: "false"}
          - match: {chat_id: 1e5}
            agent: MAIN
        """,
    )
    file = f"{home}/config.yaml"
    assert config.routes == (
        RouteRule("main", "telegram", "-100123", "0123", where=f"{file}:4"),
        RouteRule("main", "telegram", "-100123", enabled=False, where=f"{file}:5"),
        RouteRule("main", None, "1e5", where=f"{file}:6"),
    )


def test_a_whole_config_of_hermes_is_accepted(home):
    """Hermes' own keys, read or not, are no mistakes."""
    config = load(
        home,
        """
        _config_version: 33
        model: {default: m, provider: custom, base_url: "http://127.0.0.1:1/v1", context_length: 9}
        gateway: {multiplex_profiles: true, profile_routes: [], strict: false, delivery_ledger: true}
        profile_routes: []
        terminal: {backend: local, cwd: ., timeout: 180}
        agent: {max_turns: 60, disabled_toolsets: [], gateway_timeout: 1}
        mcp_servers: {crm: {command: x}}
        discord: {channel_prompts: {123: hello}}
        telegram:
        wecom: {allow_from: ["1"]}
        context_file_max_chars: null
        file_read_max_chars: 100000
        mcp_discovery_timeout: 1.5
        human_delay: {mode: "off", min_ms: 800, max_ms: 2500}
        paste_collapse_threshold: 5
        paste_collapse_threshold_fallback: 5
        paste_collapse_char_threshold: 0
        provider_routing: {sort: throughput}
        model_aliases: {}
        clarify: {timeout: 120}
        worktree: false
        worktree_sync: true
        platform_toolsets: {cron: [hermes-cron]}
        group_sessions_per_user: false
        platforms: {api_server: {enabled: false}, telegram: {enabled: true}, slack: {enabled: "no"}}
        """,
        {".env": "DISCORD_BOT_TOKEN=x\nMATRIX_ACCESS_TOKEN=x\n"},
    )
    assert config.unserved_platforms == ("matrix",)
    assert [each.platform for each in config.chat_accounts] == ["discord"]
    assert (config.group_sessions_per_user, config.thread_sessions_per_user) == (False, False)


def test_the_api_of_a_profile_is_not_served_with_a_warning(home):
    """Only the root home has one."""
    files = {"profiles/a/config.yaml": "platforms: {api_server: {enabled: true}}\n"}
    config = load(home, MODEL + "agents: {a: {}}\n", files)
    assert config.unserved_platforms == ()
    assert config.warnings == (f"{home}/profiles/a/config.yaml: a profile has no api_server of its own; use the root home's",)


def test_bad_lines_of_an_env_file_are_warnings(home):
    """They never lose the rest."""
    config = load(home, MODEL, {".env": "oops\nA=1\n"})
    assert config.warnings == (f"{home}/.env:1: is not NAME=VALUE; it is skipped",)


def test_all_mistakes_are_found_at_once_in_file_order(home):
    """Every problem of every file is reported in one run, sorted."""
    found = mistakes(
        home,
        """
        modle: x
        model: builtin/offline
        agents: {coder: {engine: hermis, personality: 5}}
        routes: [{match: {platform: telegrm}, agent: codr}, 7]
        """,
        {"profiles/coder/config.yaml": "terminal: {cwd: /nowhere/at/all}\nagent: {max_turns: many}\n"},
    )
    assert found == [
        "HOME/config.yaml:2: modle: unknown key; did you mean 'model'?",
        "HOME/config.yaml:4: agents.coder.engine: must be 'native' or 'hermes', found 'hermis'",
        "HOME/config.yaml:4: agents.coder.personality: must be text, found a number; write it in quotes",
        "HOME/config.yaml:5: routes[0].agent: there is no agent 'codr'; did you mean 'coder'?",
        "HOME/config.yaml:5: routes[0].match.platform: unknown platform 'telegrm'; did you mean 'telegram'?",
        "HOME/config.yaml:5: routes[1]: must be a mapping, found a number; correct it",
        "HOME/profiles/coder/config.yaml:1: terminal.cwd: /nowhere/at/all does not exist; make it: mkdir -p /nowhere/at/all",
        "HOME/profiles/coder/config.yaml:2: agent.max_turns: must be a whole number, found text; correct it",
    ]


@contextlib.contextmanager
def running(*argv):
    """Run a process with exactly this command line."""
    # The shell does not look at the words after its program; it has its command line once it has spoken.
    options = [argv[0], "-c", "echo; read _", *argv[1:]]
    with subprocess.Popen(options, executable="/bin/sh", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.communicate(b"\n")


def test_a_profile_that_a_live_hermes_gateway_holds_is_not_served(home):
    """The reason says how to stop it; the other agents are served."""
    with running("/opt/x/bin/hermes", "gateway", "run") as gateway:
        config = load(home, MODEL + "agents: {a: {}, b: {}}\n", {"profiles/a/gateway.pid": f'{{"pid": {gateway.pid}}}'})
    assert list(config.agents) == ["main", "b"]
    assert config.not_served == {
        "a": f"a Hermes gateway (pid {gateway.pid}) runs on {home}/profiles/a; stop it with: hermes -p a gateway stop"
    }


def test_a_live_multiplexing_gateway_holds_every_profile(home):
    """Under multiplex the root home's gateway serves them all."""
    with running("hermes", "gateway", "run") as gateway:
        config = load(home, MODEL + "multiplex_profiles: true\n", {"gateway.pid": str(gateway.pid), "profiles/a/": ""})
    assert (list(config.agents), list(config.not_served)) == ([], ["main", "a"])
    assert config.not_served["main"].endswith("stop it with: hermes gateway stop")


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        ("hermes -p a gateway run", True),
        ("/usr/bin/python3.11 /home/agent/bin/hermes gateway run --replace", True),
        ("python -u -X dev -m hermes_cli.main gateway run", True),
        ("python3 /opt/hermes_cli/main.py gateway run", True),
        ("hermes chat", False),
        ("vi /home/agent/.hermes/gateway", False),
        ("/opt/hermes/backup gateway", False),
        ("python3 -m hermes_iso gateway", False),
        ("python3 -c hermes gateway", False),
        ("python3", False),
        ("", False),
    ],
)
def test_only_a_command_line_of_hermes_gateway_is_one(command, is_one):
    """A process that merely has the word hermes in its command line is somebody else's."""
    assert is_hermes_gateway(command.split(" ")) is is_one


@pytest.mark.parametrize("text", ["", "null", "{", '{"pid": 99999999}', '{"pid": "x"}', "[1]", "-1", "true", '{"pid": 1e400}'])
def test_a_stale_pid_file_holds_nothing(home, text):
    """Whatever a gateway.pid holds, only a live process that is Hermes' counts."""
    assert list(load(home, MODEL, {"gateway.pid": text}).agents) == ["main"]


def test_a_pid_that_is_somebody_elses_now_holds_nothing(home):
    """A process that is not Hermes' is no gateway."""
    with running("something", "hermes", "else") as other:
        config = load(home, MODEL, {"gateway.pid": str(other.pid)})
    assert config.not_served == {}


@pytest.mark.parametrize("text", ["~", ".", "HOME/profiles/a/workspace"])
@pytest.mark.parametrize("key", ["writable", "cwd"])
def test_own_directories_may_be_named_before_they_are_made(home, key, text):
    """`.` and `~` are the agent's workspace and home, which its first turn makes."""
    text = text.replace("HOME", str(home))
    sandbox = f"{{writable: ['{text}']}}" if key == "writable" else "{}"
    files = {"profiles/a/config.yaml": f"terminal: {{cwd: '{text}'}}\n" if key == "cwd" else ""}
    config = load(home, MODEL + f"agents: {{a: {{sandbox: {sandbox}}}}}\n", files)
    profile = config.agents["a"].profile
    assert profile.binds == ()
    assert profile.cwd == ("/home/agent" if (key, text) == ("cwd", "~") else "/workspace")


def test_the_default_working_directory_may_be_written_out(home):
    """`/workspace` is what it is called inside."""
    assert load(home, MODEL + "terminal: {cwd: /workspace}\n").agents["main"].profile.cwd == "/workspace"


def test_only_names_that_would_be_held_back_are_a_warning(home):
    """A name that every turn sees anyhow may stand in `sandbox.env` without a word."""
    config = load(home, MODEL + "agents: {a: {sandbox: {env: [CRM_URL, GITHUB_TOKEN]}}}\n")
    assert config.warnings == ("agent a: sandbox.env lets GITHUB_TOKEN into its sandbox",)


def test_limits_of_a_sandbox_are_read_and_only_written_ones_are_required(tmp_path):
    """K, M and G are 1024s; what the config does not mention has the default and may degrade."""
    config = load(
        tmp_path / "home",
        """
        model: builtin/offline
        agents:
          a: {sandbox: {memory: 64M, pids: 20, cpu: 0.5, disk: 3g, inodes: 1000}}
          b: {sandbox: {disk: 1048576, turn_timeout: 5}}
          c: {}
        """,
    )
    limits = {name: agent.profile.limits for name, agent in config.agents.items()}
    assert limits["a"] == Limits(
        memory=64 << 20,
        processes=20,
        cpu=0.5,
        disk=3 << 30,
        inodes=1000,
        required=frozenset({"memory", "pids", "cpu", "disk", "inodes"}),
    )
    assert limits["b"] == Limits(disk=1 << 20, required=frozenset({"disk"}))
    assert limits["c"] == limits["main"] == Limits()
    assert config.agents["a"].profile.confinement().limits == limits["a"]
