"""Every wrong `tools`, `subagents` and `subagent`, and its one line."""

# ruff: noqa: E501  a mistake and its line stand side by side

import pytest

from tests.support.homes import mistakes

FORMS = "must be a tool profile, a list of tools, or a mapping of profile, also_allow, allow and deny"


@pytest.mark.parametrize(
    ("overlay", "line"),
    [
        ("tools: codng", "tools: unknown tool profile 'codng'; did you mean 'coding'?"),
        ("tools: xyzzy", "tools: unknown tool profile 'xyzzy'; possible: coding, full, messaging, minimal"),
        ("tools: terminal", "tools: unknown tool profile 'terminal'; for a toolset or tool write a list: [terminal]"),
        ("tools: {profile: ful}", "tools.profile: unknown tool profile 'ful'; did you mean 'full'?"),
        ("tools:", f"tools: {FORMS}, found nothing; full grants everything"),
        ("tools: 5", f"tools: {FORMS}, found a number; full grants everything"),
        ("tools: [terminl]", "tools[0]: unknown tool or toolset; did you mean 'terminal'?"),
        ("tools: {also_allow: [todoo]}", "tools.also_allow[0]: unknown tool or toolset; did you mean 'todo'?"),
        (
            "tools: {deny: [5, memry]}",
            "tools.deny[0]: must be text, found a number; write it in quotes|tools.deny[1]: unknown tool or toolset; did you mean 'memory'?",
        ),
        ("tools: {allow: }", "tools.allow: must be a list, found nothing; correct it"),
        ("tools: {deny: terminal}", "tools.deny: must be a list, found text; write it as [one, two]"),
        ("tools: {denied: [terminal]}", "tools.denied: unknown key; did you mean 'deny'?"),
        ("subagents: {max_depth: 5}", "subagents.max_depth: must be at most 4, found 5"),
        ("subagents: {max_children: -1}", "subagents.max_children: must be at least 0, found -1"),
        ("subagents: {max_children: 65}", "subagents.max_children: must be at most 64, found 65"),
        ("subagents: {max_childs: 1}", "subagents.max_childs: unknown key; did you mean 'max_children'?"),
        ("subagents: {model: 5}", "subagents.model: must be a mapping, found a number; correct it"),
        (
            "subagents: {model: nobody/x}",
            "subagents.model: 'nobody/x' names no known provider; write provider/name, or provider: beside it",
        ),
        ("allow_soul_edit: perhaps", "allow_soul_edit: must be true or false, found text; correct it"),
    ],
)
def test_a_wrong_key_of_an_agent_has_its_line(tmp_path, overlay, line):
    """What was found and what to do, with the nearest known word."""
    expected = [f"HOME/config.yaml:4: agents.a.{each}" for each in line.split("|")]
    assert mistakes(tmp_path / "home", f"model: builtin/offline\nagents:\n  a:\n    {overlay}\n") == expected


def test_every_wrong_item_of_a_list_has_its_own_line(tmp_path):
    """Also where the list is short for a mapping, and all of them in one run."""
    config = "model: builtin/offline\nagents:\n  a:\n    tools:\n      - 5\n      - todo\n      - terminl\n"
    assert mistakes(tmp_path / "home", config) == [
        "HOME/config.yaml:5: agents.a.tools[0]: must be text, found a number; write it in quotes",
        "HOME/config.yaml:7: agents.a.tools[2]: unknown tool or toolset; did you mean 'terminal'?",
    ]


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("{modl: x}", "subagent.modl: unknown key; did you mean 'model'?"),
        ("5", "subagent: must be a mapping, found a number; correct it"),
        (
            "{model: nobody/x}",
            "subagent.model: 'nobody/x' names no known provider; write provider/name, or provider: beside it",
        ),
    ],
)
def test_a_wrong_default_for_subagents_has_its_line(tmp_path, value, line):
    """The top-level key is as strict as the agents' own."""
    assert mistakes(tmp_path / "home", f"model: builtin/offline\nsubagent: {value}\n") == [f"HOME/config.yaml:2: {line}"]
