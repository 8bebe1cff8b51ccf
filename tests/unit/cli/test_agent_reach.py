"""What `agent show` says of an agent's door."""

from __future__ import annotations

import json

import pytest

from hermes_iso.cli.main import main

CONFIG = """
model: builtin/offline
fallback_providers: [{provider: custom, model: spare, base_url: "http://127.0.0.1:1/v1"}]
agents:
  coder:
    models: [builtin/offline]
    secrets: {API_KEY: {host: api.example.com, value_from: {env: SECRET_OF_TEST}}}
    egress:
      allow: [pypi, {host: "mirror.example.org:80", methods: [GET, head], paths: ["/debian/*"]}]
      deny: [internal.example.com]
  reader: {egress: {allow: [pypi]}, tools: [read_file]}
  other: {}
"""


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    """Give the secret its value."""
    monkeypatch.setenv("SECRET_OF_TEST", "value-of-the-secret-0123456789")


def shown(home, capsys, agent, *words):
    """Return what `agent show` prints."""
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.yaml").write_text(CONFIG, encoding="utf-8")
    assert main(["agent", "show", agent, *words, "--home", str(home)]) == 0
    return capsys.readouterr().out


def test_show_lists_the_rules_of_a_door(tmp_path, capsys):
    """Each rule as it was written, with its methods and paths; and whether there is a door at all."""
    egress = json.loads(shown(tmp_path / "home", capsys, "coder", "--json"))["egress"]
    assert egress == {
        "door": True,
        "allow": [
            {"to": "pypi", "methods": None, "paths": None},
            {"to": "mirror.example.org:80", "methods": ["GET", "HEAD"], "paths": ["/debian/*"]},
        ],
        "deny": [{"to": "internal.example.com", "methods": None, "paths": None}],
    }
    other = json.loads(shown(tmp_path / "home", capsys, "other", "--json"))["egress"]
    assert other == {"door": False, "allow": [], "deny": []}


def test_show_tells_people_the_same_in_a_line(tmp_path, capsys):
    """Rules in words, a dash where there are none, and a hint where no tool could use them."""
    wanted = "allow pypi, mirror.example.org:80 GET/HEAD /debian/*; deny internal.example.com"
    assert wanted in shown(tmp_path / "home", capsys, "coder")
    assert "it has no door" in shown(tmp_path / "home", capsys, "reader")
    lines = shown(tmp_path / "home", capsys, "other").splitlines()
    assert ["egress:", "-"] in [line.split() for line in lines]


def test_show_names_secrets_model_host_and_fallbacks(tmp_path, capsys):
    """What each is called and where it goes, and never a value; the same for people in a line each."""
    home = tmp_path / "home"
    agent = json.loads(shown(home, capsys, "coder", "--json"))
    assert agent["secrets"] == [{"name": "API_KEY", "host": "api.example.com", "port": 443, "header": "authorization"}]
    assert agent["model_host"] == {"open": True, "models": ["builtin/offline", "custom/spare"]}
    assert agent["fallbacks"] == ["custom/spare"]
    assert json.loads(shown(home, capsys, "other", "--json"))["model_host"] == {"open": False, "models": []}
    text = shown(home, capsys, "coder")
    assert "API_KEY in authorization to api.example.com:443" in text
    assert "open for builtin/offline, custom/spare" in text
    assert "value-of-the-secret" not in text
