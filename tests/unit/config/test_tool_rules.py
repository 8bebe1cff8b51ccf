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


def test_a_profile_has_the_roots_restrictions_unless_it_says_otherwise(home):
    """A restriction is never lost; a profile's own word replaces the root's."""
    config = "agent: {disabled_toolsets: [terminal]}\nplatform_toolsets: {cli: [todo]}\ngateway: {serve: all}\n"
    files = {
        "profiles/a/": "",
        "profiles/b/config.yaml": "agent: {disabled_toolsets: []}\nplatform_toolsets: {cli: [memory]}\n",
    }
    assert granted(home, config, "api_server", files, "a") == OFFERED[2:]
    assert granted(home, config, "cli", files, "a") == ("todo",)
    assert granted(home, config, "api_server", files, "b") == OFFERED
    assert granted(home, config, "cli", files, "b") == ("memory",)
