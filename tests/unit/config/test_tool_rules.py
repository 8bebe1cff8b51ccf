"""Tests of hermes_iso.config.tool_rules: Hermes' tool settings as a ToolPolicy."""

import pytest

from tests.support.homes import load

OFFERED = ("terminal", "process", "read_file", "write_file", "patch", "search_files", "execute_code", "memory", "todo")
FILES = ("read_file", "write_file", "patch", "search_files")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def granted(home, config, platform="api_server", files=None, agent="main"):
    return load(home, "model: builtin/offline\n" + config, files).agents[agent].policy.grant(OFFERED, platform)


@pytest.mark.parametrize(
    ("config", "platform", "tools"),
    [
        ("", "api_server", OFFERED),
        ("platform_toolsets: {api_server: [file, todo]}\n", "api_server", (*FILES, "todo")),
        ("platform_toolsets: {api_server: [file, todo]}\n", "telegram", OFFERED),
        ("platform_toolsets: {api_server: []}\n", "api_server", ()),
        ("platform_toolsets: {api_server: [hermes-cli]}\n", "api_server", OFFERED),
        ("platform_toolsets: {api_server: [hermes-cli, spotify]}\n", "api_server", OFFERED),
        ("platform_toolsets: {api_server: [debugging]}\n", "api_server", ("terminal", "process", *FILES)),
        ("platform_toolsets: {api_server: [safe]}\n", "api_server", ()),
        ("platform_toolsets: {api_server: [all]}\n", "api_server", OFFERED),
        ("platform_toolsets: {api_server: [todo, no_mcp, mcp-crm]}\n", "api_server", ("todo",)),
        ("platform_toolsets: {cli: [todo]}\n", "console", ("todo",)),
        ("agent: {disabled_toolsets: [terminal]}\n", "api_server", OFFERED[2:]),
        (
            "agent: {disabled_toolsets: [terminal]}\nplatform_toolsets: {api_server: [terminal, todo]}\n",
            "api_server",
            ("todo",),
        ),
        ("agent: {disabled_toolsets: [all]}\n", "api_server", ()),
    ],
)
def test_restrictions_of_hermes_are_honoured(home, config, platform, tools):
    """platform_toolsets allows, agent.disabled_toolsets denies whatever else allows."""
    assert granted(home, config, platform) == tools


def test_a_profile_narrows_the_roots_restrictions_and_never_lifts_one(home):
    """The root's lists hold for every agent; a profile's own config can only take away more."""
    config = "agent: {disabled_toolsets: [terminal]}\nplatform_toolsets: {cli: [todo, memory]}\ngateway: {serve: all}\n"
    files = {
        "profiles/a/": "",
        "profiles/b/config.yaml": "agent: {disabled_toolsets: []}\n"
        "platform_toolsets: {cli: [memory, file], telegram: [todo]}\n",
        "profiles/c/config.yaml": "agent: {disabled_toolsets: [memory]}\n",
    }
    assert granted(home, config, "api_server", files, "a") == OFFERED[2:]
    assert granted(home, config, "cli", files, "a") == ("memory", "todo")
    assert granted(home, config, "api_server", files, "b") == OFFERED[2:]
    assert granted(home, config, "cli", files, "b") == ("memory",)
    assert granted(home, config, "telegram", files, "b") == ("todo",)
    assert granted(home, config, "telegram", files, "main") == OFFERED[2:]
    assert granted(home, config, "cli", files, "c") == ("todo",)


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ("full", OFFERED),
        ("{}", OFFERED),
        ("coding", OFFERED),
        ("[coding]", OFFERED),
        ("minimal", ("memory", "todo")),
        ("messaging", ("memory", "todo")),
        ("[]", ()),
        ("{allow: []}", ()),
        ("[web_search, memory, clarify]", ("memory",)),
        ("[image_generate]", ()),
        ("[mcp-crm, todo]", ("todo",)),
        ("[terminal, todo]", ("terminal", "process", "todo")),
        ("{profile: minimal, also_allow: [read_file]}", ("read_file", "memory", "todo")),
        ("{profile: minimal, also_allow: [file], allow: [file, todo]}", (*FILES, "todo")),
        ("{profile: minimal, allow: [file]}", ()),
        (
            "{profile: coding, deny: [terminal, execute_code, write_file]}",
            ("read_file", "patch", "search_files", "memory", "todo"),
        ),
        ("{deny: [all]}", ()),
        ("{deny: ['*'], also_allow: [todo]}", ()),
    ],
)
def test_every_form_of_an_agents_tools(home, tools, expected):
    """A profile's name, a list, or a mapping: profile, also_allow, allow, deny, in this order."""
    assert granted(home, f"agents: {{a: {{tools: {tools}}}}}\n", agent="a") == expected


def test_an_agents_tools_hold_on_main_and_under_the_gateways_lists(home):
    """What the gateway's layer takes away, no profile and no also_allow gives back; other agents are not touched."""
    config = (
        "agent: {disabled_toolsets: [memory]}\nplatform_toolsets: {cli: [file]}\n"
        "agents: {main: {tools: [todo, memory, read_file]}, b: {tools: {profile: minimal, also_allow: [memory]}}, c: {}}\n"
    )
    assert granted(home, config) == ("read_file", "todo")
    assert granted(home, config, "cli") == ("read_file",)
    assert granted(home, config, agent="b") == ("todo",)
    assert granted(home, config, "cli", agent="b") == ()
    assert granted(home, config, agent="c") == tuple(name for name in OFFERED if name != "memory")


@pytest.mark.parametrize("key", ["max_depth", "max_children"])
def test_an_agent_without_subagents_is_not_granted_the_tool(home, key):
    """A bound of zero denies delegate_task, with its line."""
    policy = load(home, f"model: builtin/offline\nagents:\n  a:\n    subagents: {{{key}: 0}}\n").agents["a"].policy
    assert policy.refusal("delegate_task") == f"agent: agents.a.subagents.{key} {home}/config.yaml:4"


def test_places_are_the_lines_of_each_form(home):
    """Layer, key and FILE:LINE of the very item that decides, in the list form as in the mapping."""
    config = """\
        model: builtin/offline
        agents:
          a: {tools: coding}
          b:
            tools:
              - todo
          c:
            tools:
              profile: minimal
              deny:
                - memory
                - todo
        """
    agents = load(home, config).agents
    where = f"{home}/config.yaml"
    assert agents["a"].policy.refusal("send_message") == f"agent: agents.a.tools {where}:3"
    assert agents["b"].policy.refusal("memory") == f"agent: agents.b.tools {where}:5"
    assert agents["c"].policy.refusal("terminal") == f"agent: agents.c.tools.profile {where}:9"
    assert agents["c"].policy.refusal("todo") == f"agent: agents.c.tools.deny {where}:12"


def test_what_is_hardly_meant_is_a_warning(home):
    """An agent that is granted nothing, and a profile's list that asks for what the home's leaves out, each with its place."""
    config = "platform_toolsets: {cli: [todo]}\nagents: {a: {}, b: {tools: [web_search]}, c: {}}\n"
    files = {
        "profiles/a/config.yaml": "platform_toolsets: {cli: [todo, memory]}\n",
        "profiles/c/config.yaml": "platform_toolsets: {cli: [todo], telegram: [memory]}\n",
    }
    warnings = load(home, "model: builtin/offline\n" + config, files).warnings
    assert list(warnings) == [
        (
            f"platform_toolsets.cli {home}/profiles/a/config.yaml:1: memory not granted, because platform_toolsets.cli"
            f" {home}/config.yaml:2 leaves it out and a profile can only narrow"
        ),
        "agent b is granted no tool, so its turns are refused; see: hermes-iso policy explain b",
    ]
