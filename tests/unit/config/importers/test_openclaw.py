"""Tests of hermes_iso.config.importers: what other systems' files become, and that nothing gets wider on the way."""

# ruff: noqa: E501  what is imported and what becomes of it stand side by side

import pytest
import yaml

from hermes_iso.config.importers.openclaw import import_openclaw
from hermes_iso.config.importers.openclaw_tools import translate_tools
from hermes_iso.config.importers.route_files import import_routes
from hermes_iso.errors import ConfigError, UsageError
from tests.support.homes import load


def imported(tmp_path, text):
    file = tmp_path / "openclaw.json"
    file.write_text(text, encoding="utf-8")
    return import_openclaw(file)


AGENTS = "agents: {list: [{id: 'Home'}, {id: 'work', default: true}]}"


def bindings(tmp_path, match, more=""):
    """Return what one binding to agent work becomes, and the sentences about it."""
    found = imported(tmp_path, f"{{{AGENTS}, bindings: [{{agentId: 'work', match: {match}}}],{more}}}")
    return found.config.get("bindings"), [each for each in found.left if each.startswith("bindings[")]


def test_agents_models_and_the_default_are_carried_over(tmp_path):
    """Ids are written as names are here, and an agent without a model has the default one."""
    found = imported(
        tmp_path,
        """
        // a comment, unquoted keys, trailing commas
        {agents: {
            defaults: {model: {primary: "anthropic/a", fallbacks: ["x/y"]}, workspace: "~/x"},
            list: [{id: "Home", workspace: "~/h"}, {id: "work", default: true, model: "openai/b",},
                   {id: "root"}, {id: "../x"}, {id: "WORK"}],
        }}
        """,
    )
    assert found.config == {
        "default_agent": "work",
        "agents": {"home": {"model": "anthropic/a"}, "work": {"model": "openai/b"}},
    }
    left = "\n".join(found.left)
    for said in (
        "workspaces, memory",
        "tokens",
        "agents.home.workspace",
        "agents.home.model.fallbacks",
        "'root'",
        "'../x'",
        "twice",
    ):
        assert said in left


def test_agents_of_newer_files_stand_by_their_id(tmp_path):
    """`agents.entries` is a mapping; without a default the first one is it."""
    found = imported(tmp_path, "{agents: {entries: {main: {}, coder: {model: 'a/b'}}}}")
    assert found.config == {"default_agent": "main", "agents": {"main": {}, "coder": {"model": "a/b"}}}


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ("{channel: 'telegram'}", {"platform": "telegram"}),
        ("{channel: 'msteams', teamId: 'T'}", {"platform": "teams", "team_id": "T"}),
        ("{channel: 'discord', guildId: 123}", {"platform": "discord", "guild_id": "123"}),
        ("{channel: 'slack', accountId: '*'}", {"platform": "slack"}),
        ("{channel: 'slack', accountId: 'biz'}", {"platform": "slack", "account_id": "biz"}),
        ("{channel: 'slack', accountId: 'default'}", {"platform": "slack"}),
        ("{channel: 'whatsapp', peer: {kind: 'group', id: '1@g.us'}}", {"platform": "whatsapp", "chat_id": "1@g.us"}),
        ("{channel: 'telegram', peer: {kind: 'group', id: '-1:topic:7'}}", {"platform": "telegram", "chat_id": "-1", "thread_id": "7"}),
        ("{channel: 'telegram', peer: {kind: 'group', id: '*'}}", {"platform": "telegram", "chat_type": "group"}),
        ("{channel: 'telegram', peer: {kind: 'dm', id: '42'}}", {"platform": "telegram", "peer": "42"}),
        ("{channel: 'telegram', peer: {kind: 'direct', id: '*'}}", {"platform": "telegram", "chat_type": "dm"}),
    ],
)  # fmt: skip
def test_a_binding_becomes_ours(tmp_path, match, wanted):
    """Every key of a match has its counterpart."""
    assert bindings(tmp_path, match)[0] == [{"agent": "work", "match": wanted}]


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ("{channel: 'discord', guildId: '1', roles: ['admin']}", "roles can't be asked for here"),
        ("{channel: 'webchat'}", "the channel 'webchat' is no platform here"),
        ("{channel: 'slack', peer: {kind: 'robot', id: '1'}}", "its peer can't be read"),
        ("{channel: 'slack', peer: {kind: 'dm'}}", "its peer can't be read"),
        ("5", "has no match"),
    ],
)
def test_a_binding_that_can_not_be_said_here_is_left_out(tmp_path, match, why):
    """Without the key that is missing here it would take more messages than it did."""
    found, left = bindings(tmp_path, match)
    assert found is None
    assert [why in each for each in left] == [True]


def test_a_binding_without_an_account_means_the_default_one_where_there_are_more(tmp_path):
    """It would take the messages of the others as well if it said nothing."""
    more = "channels: {slack: {accounts: {sales: {botToken: 'SECRET'}, main: {}}, defaultAccount: 'main'}}"
    found, _ = bindings(tmp_path, "{channel: 'slack'}", more)
    assert found == [{"agent": "work", "match": {"platform": "slack", "account_id": "main"}}]


def test_bindings_of_other_kinds_or_to_nobody_are_left_out(tmp_path):
    """Only routes to agents that are carried over count."""
    text = "{agents: {list: [{id: 'a'}]}, bindings: [{agentId: 'b', match: {channel: 'slack'}}, {agentId: 'a', type: 'acp', match: {channel: 'slack'}}]}"
    found = imported(tmp_path, text)
    assert "bindings" not in found.config
    assert [each for each in found.left if each.startswith("bindings[")] == [
        "bindings[0]: there is no agent 'b'",
        "bindings[1]: its type 'acp' has no counterpart here",
    ]


@pytest.mark.parametrize(
    ("scope", "ours"),
    [("main", "main"), ("per-peer", "per-peer"), ("per-channel-peer", "per-peer"), ("per-account-channel-peer", "per-chat")],
)
def test_who_shares_direct_messages_is_carried_over(tmp_path, scope, ours):
    """Only what was written: the default of the other system, one session for everybody, is not taken over silently."""
    assert imported(tmp_path, f"{{session: {{dmScope: '{scope}'}}}}").config["gateway"] == {"dm_scope": ours}
    assert "gateway" not in imported(tmp_path, "{session: {dmScope: 'else'}}").config
    assert "gateway" not in imported(tmp_path, "{session: {dmScope: []}}").config
    assert any("session.dmScope" in each for each in imported(tmp_path, "{}").left)


@pytest.mark.parametrize(
    ("rules", "ours"),
    [
        ([None, None], {}),
        ([{"deny": ["exec"]}], {"deny": ["terminal", "execute_code"]}),
        ([{"deny": ["web_*"]}], {"deny": ["web_search", "web_extract"]}),
        ([{"deny": ["browser"]}, {"deny": ["cron"]}], {"deny": ["browser", "cronjob"]}),
        ([{"allow": ["read", "exec"]}, {"allow": ["read", "write"]}], {"allow": ["read_file"]}),
        ([{"allow": ["nodes"]}], {"allow": []}),
        ([{"allow": ["*"], "deny": ["*"]}], {"allow": []}),
        ([{"profile": "coding"}, {"profile": "minimal", "alsoAllow": ["message"]}], {"profile": "minimal", "also_allow": ["send_message"]}),
        ([{"profile": "wild"}], {"profile": "minimal"}),
        ([{"allow": ["group:runtime"]}], {"allow": ["terminal", "process", "execute_code"]}),
    ],
)  # fmt: skip
def test_tools_are_translated_and_never_widened(rules, ours):
    """What was denied stays denied, allow lists only shrink, and an unknown profile is the smallest."""
    assert translate_tools(rules, lambda what: None) == ours


def test_secrets_of_the_file_are_never_repeated(tmp_path):
    """Sections that hold them are named, not shown."""
    found = imported(
        tmp_path,
        "{channels: {telegram: {botToken: 'hunter2'}}, gateway: {auth: {token: 'hunter2'}}, env: {K: 'hunter2'}, auth: {k: 'hunter2'}}",
    )  # fmt: skip
    assert "hunter2" not in found.as_yaml()
    assert {"channels", "gateway", "env", "auth"} <= {each.partition(":")[0] for each in found.left}


def test_what_is_printed_is_a_config(tmp_path):
    """The YAML loads as it stands, with its comments."""
    text = (
        "{agents: {list: [{id: 'main', model: 'builtin/offline'}, {id: 'work', model: 'builtin/offline'}]}, session: {dmScope: 'main'},"
        " bindings: [{agentId: 'work', match: {channel: 'telegram', peer: {kind: 'group', id: '-0123'}}}]}"
    )  # fmt: skip
    config = load(tmp_path / "home", imported(tmp_path, text).as_yaml())
    assert [(rule.agent, rule.match) for rule in config.bindings] == [("work", {"chat_id": "-0123", "platform": "telegram"})]
    assert (config.default_agent, config.dm_scope) == ("main", "main")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "is not JSON5"),
        ("[]", "it must hold an object"),
        ("{a: 1, a: 2}", "is not JSON5"),
        ("[" * 100_000, "nests too deeply"),
    ],
)
def test_a_file_that_is_none_is_refused_with_one_sentence(tmp_path, text, why):
    """Whatever stands in it."""
    with pytest.raises(UsageError, match=why):
        imported(tmp_path, text)


def test_a_directory_stands_for_the_file_in_it(tmp_path):
    """~/.openclaw is how people call it."""
    imported(tmp_path, "{}")
    assert import_openclaw(tmp_path).config == {"default_agent": "main", "agents": {"main": {}}}
    with pytest.raises(UsageError, match="does not exist"):
        import_openclaw(tmp_path / "none")


def test_routes_of_every_format_become_ours(tmp_path):
    """As JSON, too; and reading them again gives the same rules in the same order."""
    file = tmp_path / "routes.json"
    file.write_text(
        '{"routes": [{"match": {"platform": "Slack", "user_id": "007"}, "agent": "a"}],'
        ' "bindings": [{"agent": "b", "telegram": "*", "enabled": false}],'
        ' "profile_routes": [{"platform": "discord", "guild_id": 1, "profile": "default"}],'
        ' "telegram": {"topic_profiles": {"-100:7": "c"}}, "model": "x"}'
    )
    found = import_routes(file)
    assert found.config == {
        "routes": [{"agent": "a", "match": {"platform": "slack", "user_id": "007"}}],
        "bindings": [
            {"agent": "b", "match": {"platform": "telegram"}, "enabled": False},
            {"agent": "main", "match": {"platform": "discord", "guild_id": "1"}},
            {"agent": "c", "match": {"platform": "telegram", "thread_id": "7", "chat_id": "-100"}},
        ],
    }
    assert "model: is no route" in found.left
    again = tmp_path / "again.yaml"
    again.write_text(found.as_yaml())
    assert import_routes(again).config == found.config
    assert list(yaml.safe_load(again.read_text())) == ["routes", "bindings"]


def test_mistakes_in_a_file_of_routes_have_their_lines(tmp_path):
    """As in a config; also names that can be no agent's."""
    file = tmp_path / "r.yaml"
    file.write_text("bindings:\n  - {agent: ../x, slack: 1}\n  - {agent: a, slck: 1}\n")
    with pytest.raises(ConfigError) as caught:
        import_routes(file)
    lines = [str(problem).removeprefix(f"{file}:").partition(": ")[0] for problem in caught.value.problems]
    assert lines == ["2", "3", "3"]
    file.write_text("model: x\n")
    with pytest.raises(UsageError, match="holds no routes"):
        import_routes(file)
