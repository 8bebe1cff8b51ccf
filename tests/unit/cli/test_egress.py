"""`egress explain`."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli.main import main
from tests.support.homes import make_home

CONFIG = """\
model: builtin/offline
egress: {resolve: {git.corp.example: "10.0.0.7:8443"}}
agents:
  coder:
    models: []
    secrets:
      API_KEY: {host: keys.example.com, value_from: {env: SECRET_OF_TEST}}
      OTHER: {host: "other.example.com:8443", header: X-Key, value_from: {env: SECRET_OF_TEST}}
    egress:
      allow:
        - pypi
        - git.corp.example:443
        - {host: "api.example.com:80", methods: [GET], paths: ["/v1/*"]}
        - big.example.com
      deny:
        - {host: big.example.com, methods: [POST]}
        - files.pythonhosted.org
"""


VALUE = "value-of-the-secret-0123456789"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_TEST", VALUE)
    return make_home(tmp_path / "home", CONFIG)


def told(home, capsys, *words):
    """Return what the command prints as JSON."""
    assert main(["egress", "explain", *words, "--json", "--home", str(home)]) == 0
    return json.loads(capsys.readouterr().out)


def test_allowed_host_is_told_with_its_rule(home, capsys):
    """Which rule lets it through, where it stands, and where the name leads."""
    file = home / "config.yaml"
    assert told(home, capsys, "coder", "PyPI.org.") == {
        "agent": "coder",
        "host": "pypi.org",
        "port": 443,
        "allowed": True,
        "tunnel": True,
        "rule": f"pypi, agents.coder.egress.allow[0] {file}:11",
        "fix": "",
        "only": [],
        "never": [],
        "leads_to": None,
        "secrets": [],
    }
    assert told(home, capsys, "coder", "git.corp.example:443")["leads_to"] == "10.0.0.7:8443"


@pytest.mark.parametrize(
    ("target", "rule", "fix"),
    [
        (
            "other.org:443",
            "agents.coder.egress.allow holds no rule for it (FILE:10)",
            'add the line  - "other.org:443"  to agents.coder.egress.allow (FILE:10)',
        ),
        (
            "files.pythonhosted.org:443",
            "files.pythonhosted.org, agents.coder.egress.deny[1] FILE:17",
            "remove files.pythonhosted.org from agents.coder.egress.deny (FILE:17)",
        ),
        (
            "files.pythonhosted.org:8080",
            "files.pythonhosted.org, agents.coder.egress.deny[1] FILE:17",
            "remove files.pythonhosted.org from agents.coder.egress.deny (FILE:17), and add the line  - ",
        ),
        ("10.0.0.7:443", "a door leads to hosts by their names alone", "write its name; egress.resolve leads a name to"),
        ("[::1]:443", "a door leads to hosts by their names alone", "write its name; egress.resolve leads a name to"),
    ],
)
def test_refused_host_is_told_with_the_line_to_change(home, capsys, target, rule, fix):
    """Exit code 0, which rule refuses, and what to write."""
    answer = told(home, capsys, "coder", target)
    assert (answer["allowed"], answer["tunnel"]) == (False, False)
    assert answer["rule"].replace(str(home / "config.yaml"), "FILE").startswith(rule)
    assert answer["fix"].replace(str(home / "config.yaml"), "FILE").startswith(fix)


def test_fix_changes_the_answer(home, capsys):
    """Whoever does as told is let through."""
    fix = told(home, capsys, "coder", "other.org:8443")["fix"]
    line = fix.split("  ")[1]
    (home / "config.yaml").write_text(CONFIG.replace("      allow:\n", f"      allow:\n        {line}\n"))
    assert told(home, capsys, "coder", "other.org:8443")["tunnel"] is True


def test_host_that_is_reached_in_part_is_told_so(home, capsys):
    """Limited to requests, or with some denied: plain HTTP alone, because a tunnel hides what is asked."""
    answer = told(home, capsys, "coder", "api.example.com:80")
    assert (answer["allowed"], answer["tunnel"], answer["only"], answer["never"]) == (True, False, ["GET /v1/*"], [])
    answer = told(home, capsys, "coder", "big.example.com:80")
    assert (answer["allowed"], answer["tunnel"]) == (True, False)
    assert (answer["only"], answer["never"]) == (["any method any path"], ["POST any path"])


def test_people_read_the_same(home, capsys):
    """A few lines: whether, by which rule, and what to write."""
    assert main(["egress", "explain", "main", "pypi.org:443", "--home", str(home)]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].split() == ["agent:", "main"]
    assert rows[2].split() == ["allowed:", "no"]
    assert rows[-1].startswith('to allow it:  add the line  - "pypi.org:443"  to agents.main.egress.allow')
    assert main(["egress", "explain", "coder", "git.corp.example:443", "--home", str(home)]) == 0
    assert "leads to:  10.0.0.7:8443, by egress.resolve" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["codr", "pypi.org:443"], "did you mean 'coder'?"),
        (["coder", "a b:443"], "'a b' is no host name: say HOST:PORT, such as pypi.org:443."),
        (["coder", "pypi.org:https"], "'https' is no port"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(home, capsys, words, hint):
    """Exit 2 and one sentence."""
    assert main(["egress", "explain", *words, "--home", str(home)]) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "secrets", "allowed"),
    [
        ("keys.example.com:443", [("API_KEY", "authorization", "http://keys.example.com/")], True),
        ("keys.example.com:80", [("API_KEY", "authorization", "http://keys.example.com/")], True),
        ("other.example.com:8443", [("OTHER", "x-key", "http://other.example.com:8443/")], True),
        ("other.example.com:80", [("OTHER", "x-key", "http://other.example.com/")], True),
        ("other.example.com:9000", [], False),
        ("pypi.org:443", [], True),
    ],
)
def test_secrets_of_a_host_are_named(home, capsys, target, secrets, allowed):
    """By name, header and the URL that has them put in; a host of a secret needs no rule of its own."""
    answer = told(home, capsys, "coder", target)
    assert [(each["name"], each["header"], each["url"]) for each in answer["secrets"]] == secrets
    assert answer["allowed"] is allowed
    assert told(home, capsys, "main", target)["secrets"] == []
    assert main(["egress", "explain", "coder", target, "--home", str(home)]) == 0
    text = capsys.readouterr().out
    assert VALUE not in text
    assert all(f"{name}, put into {header} of {url}" in text for name, header, url in secrets)


def test_the_model_host_is_told(home, capsys):
    """Whether the agent has one, and what opens it."""
    assert "the model host" in told(home, capsys, "coder", "model.local:80")["rule"]
    answer = told(home, capsys, "main", "model.local")
    assert (answer["allowed"], answer["rule"]) == (False, "this agent has no model host")
    assert "models: []  to agents.main" in answer["fix"]


def test_doctor_names_the_resolver_map(home, capsys):
    """The operator sees which names go where no check holds."""
    assert main(["config", "check", "--home", str(home)]) == 0
    assert "egress.resolve leads git.corp.example to 10.0.0.7:8443" in "".join(capsys.readouterr())
