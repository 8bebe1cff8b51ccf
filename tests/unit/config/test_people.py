"""Admins, rules of commands and personalities, as a config says them."""

from pathlib import Path

import pytest

from hermes_iso.config.schema import CommandRules
from hermes_iso.errors import UsageError
from tests.support.homes import load


def test_admins_are_platform_and_user(tmp_path: Path) -> None:
    """Written with any case of the platform; the user's id is the text as it stands."""
    config = load(
        tmp_path / "home", 'model: builtin/offline\nagents: {coder: {admins: ["Telegram:0123", "console:*", "slack:U 1"]}}\n'
    )
    assert config.agents["coder"].admins == {"telegram:0123", "console:*", "slack:U 1"}
    assert config.agents["main"].admins == frozenset()


@pytest.mark.parametrize(
    "section",
    [
        "telegram: {allow_admin_from: [0123, 7], user_allowed_commands: [/New, stop]}",
        "telegram: {allow_admin_from: '0123, 7', user_allowed_commands: 'new,stop'}",
        "platforms: {telegram: {extra: {allow_admin_from: [0123, '7'], user_allowed_commands: [new, stop]}}}",
        "platforms: {telegram: {allow_admin_from: [0123, 7], extra: {user_allowed_commands: [new, stop]}}}",
        "telegram: {allow_admin_from: [0123, 7], group_user_allowed_commands: [new, stop]}",
    ],
)
def test_rules_are_read_where_hermes_reads_them(tmp_path: Path, section: str) -> None:
    """A list or a text with commas, in any of the places; ids are no numbers; a list for groups does for direct chats too."""
    config = load(tmp_path / "home", f"model: builtin/offline\n{section}\n")
    assert config.command_rules == {("telegram", "dm"): CommandRules(frozenset({"0123", "7"}), frozenset({"new", "stop"}))}


def test_groups_have_rules_of_their_own(tmp_path: Path) -> None:
    """Who is an admin in direct chats is none in groups; a platform that names no admins has no rule."""
    config = load(
        tmp_path / "home",
        "model: builtin/offline\ndiscord: {group_allow_admin_from: [9]}\nslack: {user_allowed_commands: [new]}\n",
    )
    assert config.command_rules == {("discord", "group"): CommandRules(frozenset({"9"}))}


def test_rules_count_however_the_platform_is_spelled(tmp_path: Path) -> None:
    """A capital letter in a platform's name does not open the commands to everybody."""
    config = load(tmp_path, "model: builtin/offline\nplatforms: {Telegram: {extra: {allow_admin_from: ['7']}}}\n")
    assert config.command_rules == {("telegram", "dm"): CommandRules(frozenset({"7"}))}


def test_personalities_are_texts_or_made_of_parts(tmp_path: Path) -> None:
    """The profile's own come before the home's of the same name; what is no persona is passed over."""
    config = load(
        tmp_path / "home",
        """\
        model: builtin/offline
        agents: {coder: {}}
        agent: {personalities: {Pirate: You are a pirate., odd: 5}}
        personalities: {poet: {system_prompt: You rhyme., tone: soft}}
        """,
        {"profiles/coder/config.yaml": "personalities: {poet: You write odes.}\n"},
    )
    assert config.agents["main"].personalities == {"pirate": "You are a pirate.", "poet": "You rhyme.\nTone: soft"}
    assert config.agents["coder"].personalities["poet"] == "You write odes."


def test_model_is_named_as_the_config_would(tmp_path: Path) -> None:
    """Provider and key come from the places that the agent's own model has them from."""
    config = load(
        tmp_path / "home",
        """\
        model: {default: m, provider: custom, base_url: "http://127.0.0.1:9/v1", api_key: k1}
        agents: {coder: {}}
        """,
        {".env": "OPENAI_API_KEY=k2\n"},
    )
    name_model = config.agents["coder"].name_model
    other = name_model("other")
    assert (other.model, other.base_url, other.api_key) == ("other", "http://127.0.0.1:9/v1", "k1")
    openai = name_model("openai/gpt-5")
    assert (openai.provider, openai.model, openai.api_key) == ("openai", "gpt-5", "k2")
    assert name_model("builtin/offline").api_mode == "offline"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("${OPENAI_API_KEY}", "by its name"),
        ("a b", "by its name"),
        ("x" * 201, "by its name"),
        ("anthropic/claude", "no key for anthropic"),
        ("builtin/other", "no built-in model"),
        ("nosuch", "names no provider"),
    ],
)
def test_model_that_can_not_be_used_is_refused(tmp_path: Path, name: str, why: str) -> None:
    """A stranger's text is no reference to a secret; what lacks a key or a provider is refused before a turn fails by it."""
    config = load(tmp_path / "home", "model: builtin/offline\n", {".env": "CANARY=secret\n"})
    with pytest.raises(UsageError, match=why) as caught:
        config.agents["main"].name_model(name)
    assert "secret" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_busy_input_mode_is_the_profiles_or_the_homes(tmp_path: Path) -> None:
    """Where nothing is said a message waits; a word that Hermes does not know means interrupt, as there."""
    text = "model: builtin/offline\nagents: {a: {ask_timeout: 60}, b: {}, c: {}}\ndisplay: {busy_input_mode: steer}\n"
    files = {
        "profiles/a/config.yaml": "display: {busy_input_mode: Queue}\n",
        "profiles/b/config.yaml": "display: {busy_input_mode: at once}\n",
        "profiles/c/config.yaml": "display: {skin: mono}\n",
    }
    agents = load(tmp_path / "home", text, files).agents
    assert [agents[name].busy_input_mode for name in "abc"] == ["queue", "interrupt", "steer"]
    assert [agents[name].ask_timeout for name in "abc"] == [60, 900, 900]
    plain = load(tmp_path / "plain", "model: builtin/offline\n").agents["main"]
    assert plain.busy_input_mode == "queue"
