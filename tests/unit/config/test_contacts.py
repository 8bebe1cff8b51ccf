"""Tests of hermes_iso.config.contacts: who may write to whom."""

import pytest

from hermes_iso.agents import Contacts
from tests.support.homes import load, mistakes


def agents(**messages):
    """Return a config with these agents, each with the text of its messages."""
    lines = (f"  {name}: {{messages: {{{text}}}}}\n" for name, text in messages.items())
    return "model: builtin/offline\nagents:\n" + "".join(lines)


def test_contacts_are_what_the_config_says(tmp_path):
    """Names are compared as Hermes compares them, and each counts once."""
    config = load(tmp_path / "home", agents(a="to: [b, B, main]", b="from: [a]", main="from: [a], to: []"))
    assert config.agents["a"].contacts == Contacts(to=("b", "main"))
    assert config.agents["b"].contacts == Contacts(senders=("a",))
    assert config.warnings == ()


def test_tools_can_be_listed_for_messages_of_agents(tmp_path):
    """They have a platform of their own in `platform_toolsets`, and in nothing that routes."""
    home = tmp_path / "home"
    policy = load(home, agents(a="") + "platform_toolsets: {agent: [file]}\n").agents["a"].policy
    assert policy.grant(["terminal", "read_file"], "agent") == ("read_file",)
    assert policy.grant(["terminal", "read_file"], "telegram") == ("terminal", "read_file")
    line = mistakes(home, agents(a="") + "routes: [{match: {platform: agent}, agent: a}]\n")[0]
    assert line.startswith("HOME/config.yaml:4: routes[0].match.platform: unknown platform 'agent'")


@pytest.mark.parametrize(
    ("messages", "warning"),
    [
        (
            {"a": "to: [b]", "b": ""},
            "3: agents.a.messages.to: a may not write to b yet: add messages: {from: [a]} to agents.b",
        ),
        (
            {"a": "", "b": "from: [a]"},
            "4: agents.b.messages.from: a may not write to b yet: add messages: {to: [b]} to agents.a",
        ),
    ],
)
def test_one_sided_word_is_a_warning(tmp_path, messages, warning):
    """It is not an error, because the other side may be somebody else's to write; it permits nothing either."""
    home = tmp_path / "home"
    assert load(home, agents(**messages)).warnings == (f"{home}/config.yaml:{warning}",)


@pytest.mark.parametrize(
    ("messages", "line"),
    [
        ({"a": "to: [a]"}, "agents.a.messages.to[0]: is the agent itself; remove it"),
        ({"a": "from: [a]"}, "agents.a.messages.from[0]: is the agent itself; remove it"),
        ({"a": "to: [bb]", "b": ""}, "agents.a.messages.to[0]: there is no agent 'bb'; did you mean 'b'?"),
        ({"a": "to: b", "b": ""}, "agents.a.messages.to: must be a list, found text; write it as [one, two]"),
        ({"a": "to: [5]"}, "agents.a.messages.to[0]: must be text, found a number; write it in quotes"),
        ({"a": "form: [b]", "b": ""}, "agents.a.messages.form: unknown key; did you mean 'from'?"),
        ({"a": "senders: [b]", "b": ""}, "agents.a.messages.senders: unknown key; possible: chats, from, to"),
    ],
)
def test_a_mistake_has_its_line(tmp_path, messages, line):
    """Every wrong word is said where it stands."""
    assert mistakes(tmp_path / "home", agents(**messages)) == [f"HOME/config.yaml:3: {line}"]
