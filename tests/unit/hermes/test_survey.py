"""`adopt --check`: what a home implies is told, what is secret is not, and nothing is changed."""

from __future__ import annotations

import json
import os

import pytest

from hermes_iso.config.load import load_config
from hermes_iso.hermes import report
from hermes_iso.hermes.plan import make_plan
from hermes_iso.hermes.survey import survey
from tests.support.engines import ENGINE, make_engine
from tests.support.homes import make_home

ROOT = f"""\
{ENGINE}_config_version: 33
model: {{default: m, provider: custom, base_url: "http://127.0.0.1:9/v1", api_key: key-canary}}
platforms: {{telegram: {{enabled: true, token: "123456789:canary_of_a_token"}}, slack: {{enabled: true}}}}
web: {{backend: tavily}}
gateway:
  profile_routes: [{{name: r, platform: telegram, chat_id: "-100", profile: coder}}]
"""
JOBS = {"jobs": [{"id": "abc", "name": "nightly", "schedule_display": "every 2h", "enabled": True, "script": "gone.py"}]}


@pytest.fixture
def tools(tmp_path):
    """Make a directory outside of the home that things name."""
    make_home(tmp_path / "opt/tools", files={"server.py": "", "data/x.csv": ""})
    return tmp_path / "opt/tools"


@pytest.fixture
def home(tmp_path, tools):
    """Make a home with a bit of everything."""
    coder = f"""\
        _config_version: 33
        model: {{default: gpt, provider: openai}}
        fallback_providers: [{{provider: vertex, model: g}}]
        auxiliary: {{vision: {{provider: bedrock, model: v}}}}
        platform_toolsets: {{cli: [terminal, web]}}
        agent: {{disabled_toolsets: [browser]}}
        mcp_servers:
          crm: {{url: "https://crm.example.com/mcp", headers: {{Authorization: secret-canary}}}}
          local: {{command: no-such-program-here, args: ["{tools}/server.py"]}}
          off: {{url: "https://off.example.com", enabled: false}}
        """
    files = {
        "profiles/coder/config.yaml": coder,
        "profiles/coder/.env": "EXA_API_KEY=exa-canary\nTELEGRAM_BOT_TOKEN=8:token-canary\nAPI_SERVER_KEY=canary\n",
        "profiles/coder/cron/jobs.json": json.dumps(JOBS),
        "profiles/coder/skills/work/csv/SKILL.md": f"Read {tools}/data/x.csv and /nowhere/example.csv, or /usr/share.",
        "profiles/coder/workspace/repo/.git/config": '[remote "origin"]\n\turl = git@git.example.org:me/x.git\n',
        "profiles/coder/workspace/.git/config": '[remote "o"]\n\turl = https://me:token-canary@code.example.net:8443/x\n',
        "state.db": "x",
        "logs/": "",
    }
    make_engine(tmp_path / "home")
    return make_home(tmp_path / "home", ROOT, files)


def told(home, gitconfig=b""):
    plan = make_plan(home, {})
    return report.as_data(plan, [survey(plan.view, each, {"PATH": "/usr/bin"}) for each in plan.candidates], gitconfig, [])


def agent(data, name):
    return next(each for each in data["agents"] if each["id"] == name)


def test_models_are_told_with_where_their_key_is_and_never_the_key(home):
    """A key that is there is found, one that is missing has the place where it goes, and no secret is in the report."""
    data = told(home)
    (model,) = agent(data, "main")["models"]
    assert (model["provider"], model["name"], model["key"]) == ("custom", "m", "found")
    model, *others = agent(data, "coder")["models"]
    assert (model["provider"], model["key"], model["where"]) == (
        "openai",
        "missing",
        f"OPENAI_API_KEY in {home}/profiles/coder/.env",
    )
    assert [(other["role"], other["provider"]) for other in others] == [("fallback", "vertex"), ("auxiliary.vision", "bedrock")]
    assert all(f"provider {other['provider']} can't be carried" in other["refused"] for other in others)
    assert "canary" not in json.dumps(data) + "\n".join(report.as_text(data))


def test_hosts_are_a_block_that_the_config_takes(home):
    """Web search, MCP and git remotes of each agent, as YAML that means what it says."""
    data = told(home)
    hosts = {(use["host"], use["port"], use["why"].split()[0]) for use in agent(data, "coder")["hosts"]}
    assert hosts == {
        ("api.exa.ai", 443, "web"),
        ("crm.example.com", 443, "MCP"),
        ("git.example.org", 22, "git"),
        ("code.example.net", 8443, "git"),
    }
    assert [use["host"] for use in agent(data, "main")["hosts"]] == ["api.tavily.com"]
    (home / "config.yaml").write_text(ROOT + data["egress"])
    assert len(load_config(home, {}).agents["coder"].egress.allow) == 4


def test_paths_that_are_not_inside_have_the_line_that_brings_them(home, tools):
    """Those that are named outright are told in any case, those in free text where they are there; /usr is inside."""
    data = told(home)
    found = {use["path"]: use for use in agent(data, "coder")["paths"]}
    assert found.keys() == {
        "no-such-program-here",
        f"{tools}/server.py",
        f"{tools}/data/x.csv",
        f"{home}/profiles/coder/scripts/gone.py",
    }
    assert found[f"{tools}/server.py"]["readable"] == str(tools)
    assert found["no-such-program-here"]["readable"] is None
    (home / "config.yaml").write_text(ROOT + data["readable"])
    binds = load_config(home, {}).agents["coder"].profile.binds
    assert {bind.source for bind in binds} == {str(tools)}


def test_what_is_not_served_yet_is_told(home):
    """Chat platforms without an adapter and cron jobs, each agent's, and the routes."""
    data = told(home)
    platforms = {each["name"]: each["served"] for each in agent(data, "main")["platforms"]}
    assert platforms == {"telegram": True, "slack": False}
    own = {each["name"]: each["served"] for each in agent(data, "coder")["platforms"]}
    assert own["telegram"], "a bot of a profile's own is that agent's"
    assert not own.get("api_server", False)
    (job,) = agent(data, "coder")["cron"]
    assert (job["name"], job["schedule"], job["served"]) == ("nightly", "every 2h", False)
    (route,) = data["routes"]
    assert (route["agent"], route["match"]) == ("coder", {"platform": "telegram", "chat_id": "-100"})
    text = "\n".join(report.as_text(data))
    assert "platform slack: not served yet" in text
    assert "cron job nightly (every 2h): not served yet" in text
    assert agent(data, "coder")["toolsets"] == {"cli": ["terminal", "web"]}
    assert agent(data, "coder")["disabled_toolsets"] == ["browser"]


def test_old_files_of_main_are_named_where_there_are_other_profiles(home):
    """They may hold what others said; a home with one agent has no such thing."""
    assert any(f"{home}/state.db may hold data of other profiles" in warning for warning in told(home)["warnings"])
    (home / "config.yaml").write_text(ENGINE + "model: builtin/offline\n")
    for path in (home / "profiles/coder").iterdir():
        if path.is_file():
            path.unlink()
    os.rename(home / "profiles", home.parent / "away")
    assert told(home)["warnings"] == []


def test_looking_changes_nothing(home):
    """Not a name and not a time."""
    before = {path: path.lstat().st_mtime_ns for path in (home, *home.rglob("*"))}
    told(home)
    assert {path: path.lstat().st_mtime_ns for path in (home, *home.rglob("*"))} == before


def test_hostile_files_of_an_agent_are_not_followed_and_do_not_stop_it(home, tmp_path):
    """A symlink, a pipe and broken JSON where files are expected: told without them."""
    secret = make_home(tmp_path / "secret", files={"config": "[x]\nurl = https://secret.example\n", "SKILL.md": "/etc/passwd"})
    coder = home / "profiles/coder"
    (coder / "workspace/repo/.git/config").unlink()
    (coder / "workspace/repo/.git/config").symlink_to(secret / "config")
    (coder / "skills/work/csv/SKILL.md").unlink()
    os.mkfifo(coder / "skills/work/csv/SKILL.md")
    (coder / "skills/linked").symlink_to(secret)
    (coder / "cron/jobs.json").write_text("[" * 100_000)
    data = agent(told(home), "coder")
    assert "secret.example" not in {use["host"] for use in data["hosts"]}
    assert data["cron"] == []
    assert not any("passwd" in use["path"] for use in data["paths"])
