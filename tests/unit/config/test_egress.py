"""`egress` in the config: what becomes of it, and every wrong form with its line."""

# ruff: noqa: E501  a mistake and its line stand side by side

from __future__ import annotations

import pytest

from hermes_iso.broker.egress.dialing import Endpoint
from tests.support.homes import load, make_home, mistakes

CODER = "model: builtin/offline\nagents: {coder: {egress: "
NO_RULE = "must be a host, a preset, or a mapping with a host, found"
AT = "2: agents.coder.egress"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_rules_have_their_lines(home):
    """Each rule knows the line that it stands in, and an agent without a word reaches nothing."""
    config = load(
        home,
        """\
        model: builtin/offline
        agents:
          coder:
            egress:
              allow:
                - pypi
                - {host: "api.example.com:80", methods: [get], paths: ["/v1/*"]}
              deny: ["*.evil.example"]
        """,
    )
    rules = config.agents["coder"].egress
    file = home / "config.yaml"
    assert rules.decide("pypi.org", 443).rule == f"pypi, agents.coder.egress.allow[0] {file}:6"
    assert rules.decide("api.example.com", 80, "GET", "/v1/x").rule.endswith(f"agents.coder.egress.allow[1] {file}:7")
    assert rules.decide("a.evil.example", 443).rule == f"*.evil.example, agents.coder.egress.deny[0] {file}:8"
    assert rules.decide("other.org", 443).fix == f'add the line  - "other.org:443"  to agents.coder.egress.allow ({file}:5)'
    nothing = config.agents["main"].egress
    assert (rules.opens, nothing.opens) == (True, False)
    assert nothing.decide("pypi.org", 443).fix.endswith(f"to agents.main.egress.allow ({file}:2)")


def test_rules_that_only_moved_are_the_same(home):
    """A line more above them is no change of an agent, so that a reload ends nothing."""
    before = load(home, CODER + "{allow: [pypi]}}}\n").agents["coder"]
    after = load(home, "# a comment\n" + CODER + "{allow: [pypi]}}}\n").agents["coder"]
    assert before.egress == after.egress
    assert before.egress.allow[0].place != after.egress.allow[0].place


def test_resolver_map_is_read_and_warned_of(home):
    """Names in their one spelling, addresses with or without a port; each is a warning, for no check holds there."""
    config = load(
        home,
        "model: builtin/offline\negress: {resolve: {Web.EXAMPLE.com.: '127.0.0.1:8080', six.example.com: '::1',"
        " both.example.com: '[::1]:80'}}\n",
    )
    assert config.resolve == {
        "web.example.com": Endpoint("127.0.0.1", 8080),
        "six.example.com": Endpoint("::1"),
        "both.example.com": Endpoint("::1", 80),
    }
    assert config.warnings[0] == (
        f"{home / 'config.yaml'}:2: egress.resolve leads web.example.com to 127.0.0.1:8080, whatever kind of address that is"
    )
    assert len(config.warnings) == 3


def test_allowing_every_host_is_warned_of(home):
    """`*` is possible, and said to be what it is; limited to some requests it is not everything."""
    config = load(home, CODER + "{allow: ['*:443', {host: '*', methods: [GET]}]}}}\n")
    assert [line.partition(": ")[2] for line in config.warnings] == [
        "agents.coder.egress.allow[0] allows every host: whatever the agent knows can go anywhere"
    ]


def test_rules_of_an_agent_that_is_not_served_are_checked(home):
    """A mistake is one also where nobody is served by it yet."""
    config = "model: builtin/offline\ngateway: {serve: [main]}\nagents: {coder: {egress: {allow: ['a..b']}}}\n"
    assert mistakes(home, config) == ["HOME/config.yaml:3: agents.coder.egress.allow[0]: 'a..b' is no host name; correct it"]


@pytest.mark.parametrize(
    ("egress", "line"),
    [
        ("[pypi]", f"{AT}: must be a mapping, found a list; correct it"),
        ("{alow: []}", f"{AT}.alow: unknown key; did you mean 'allow'?"),
        ("{allow: pypi}", f"{AT}.allow: must be a list, found text; write it as [one, two]"),
        ("{deny: }", f"{AT}.deny: must be a list, found nothing; correct it"),
        ("{allow: [5]}", f"{AT}.allow[0]: {NO_RULE} 5; correct it"),
        ("{allow: [{methods: [GET]}]}", f"{AT}.allow[0]: {NO_RULE} {{'methods': ['GET']}}; correct it"),
        ("{allow: [{host: 5}]}", f"{AT}.allow[0]: {NO_RULE} {{'host': 5}}; correct it"),
        ("{allow: [{host: a.b, port: 5}]}", f"{AT}.allow[0].port: unknown key; possible: host, methods, paths"),
        ("{allow: ['']}", f"{AT}.allow[0]: {NO_RULE} ''; correct it"),
        (
            "{allow: [githb]}",
            f"{AT}.allow[0]: 'githb' is neither a preset (debian, github, npm, pypi) nor a host with a domain or a port; did you mean 'github'?",
        ),
        ("{allow: ['a b.org']}", f"{AT}.allow[0]: 'a b.org' is no host name; correct it"),
        (
            "{allow: ['https://a.org/']}",
            f"{AT}.allow[0]: 'https://a.org/' is an address of the web: write its host alone, HOST or HOST:PORT; correct it",
        ),
        ("{allow: ['a.org:0']}", f"{AT}.allow[0]: '0' is no port: write a number from 1 to 65535; correct it"),
        (
            "{allow: ['a*.org']}",
            f"{AT}.allow[0]: 'a*.org' has a * in the middle: only *.NAME and * alone are understood; correct it",
        ),
        (
            "{deny: [10.0.0.1]}",
            f"{AT}.deny[0]: '10.0.0.1' is an address and not a name: rules are about names; egress.resolve may lead a name to an address; correct it",
        ),
        ("{allow: [{host: a.org, methods: []}]}", f"{AT}.allow[0].methods: must not be empty; write something, or remove it"),
        ("{allow: [{host: a.org, methods: ['G T']}]}", f"{AT}.allow[0]: 'G T' is no method such as GET; correct it"),
        (
            "{allow: [{host: a.org, methods: [5]}]}",
            f"{AT}.allow[0].methods[0]: must be text, found a number; write it in quotes",
        ),
        (
            "{deny: [{host: a.org, paths: ['/a/../b']}]}",
            f"{AT}.deny[0]: '/a/../b' is no path such as /v1/* (plain characters, no query; * stands for any); correct it",
        ),
    ],
)
def test_a_wrong_rule_has_its_line(home, egress, line):
    """What was found, and what to do."""
    assert mistakes(home, f"{CODER}{egress}}}}}\n") == [f"HOME/config.yaml:{line}"]


@pytest.mark.parametrize(
    ("egress", "line"),
    [
        ("5", "egress: must be a mapping, found a number; correct it"),
        ("{allow: [pypi]}", "egress.allow: unknown key; possible: resolve"),
        (
            "{resolve: {a.org: localhost}}",
            "egress.resolve.a.org: must be an address and a port such as 127.0.0.1:8080, found 'localhost'; correct it",
        ),
        ("{resolve: {a.org: 80}}", "egress.resolve.a.org: must be text, found a number; write it in quotes"),
        (
            "{resolve: {a.org: '127.0.0.1:0'}}",
            "egress.resolve.a.org: '0' is no port: write a number from 1 to 65535; correct it",
        ),
        (
            "{resolve: {127.0.0.1: '127.0.0.1'}}",
            "egress.resolve.127.0.0.1: '127.0.0.1' is an address and not a name; correct it",
        ),
        (
            "{resolve: {a.org: '127.0.0.1', A.org.: '127.0.0.2'}}",
            "egress.resolve.A.org.: is the same name as another in egress.resolve, 'a.org'; keep one",
        ),
    ],
)
def test_a_wrong_resolver_map_has_its_line(home, egress, line):
    """What was found, and what to do."""
    assert mistakes(home, f"model: builtin/offline\negress: {egress}\n") == [f"HOME/config.yaml:2: {line}"]


def test_every_mistake_is_told_at_once(home):
    """One wrong rule does not hide the next, and each has its own line."""
    make_home(home)
    config = (
        "agents:\n  coder:\n    egress:\n      allow:\n      - 5\n      - a..b\n      - pypi\n      deny:\n      - 1.2.3.4\n"
    )
    assert [line.split(": ")[0:2] for line in mistakes(home, config)] == [
        ["HOME/config.yaml:5", "agents.coder.egress.allow[0]"],
        ["HOME/config.yaml:6", "agents.coder.egress.allow[1]"],
        ["HOME/config.yaml:9", "agents.coder.egress.deny[0]"],
    ]
