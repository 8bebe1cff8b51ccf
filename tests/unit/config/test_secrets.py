"""`agents.<id>.secrets` and `models`: what they give, and the one line of each mistake."""

# ruff: noqa: E501  a mistake and its line stand side by side

import os
import re

import pytest

from hermes_iso.envfile import parse_env
from tests.support.homes import load, make_home, mistakes

VALUE = "0123456789-value"
BASE = "model: builtin/offline\nagents:\n  a:\n    secrets:\n      TOKEN: "


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path):
    """Make a file with a value that only its owner reads."""
    path = tmp_path / "secret"
    path.write_text(f"{VALUE}\n")
    path.chmod(0o600)
    return path


def config(secret):
    """Return a config with this one secret."""
    return f"{BASE}{secret}\n"


def test_a_secret_has_its_defaults(home, file):
    """Port 443, Authorization, Bearer."""
    agent = load(home, config(f"{{host: API.Example.COM., value_from: {{file: {file}}}}}")).agents["a"]
    (secret,) = agent.profile.secrets
    assert (secret.name, secret.host, secret.port, secret.header, secret.form) == (
        "TOKEN",
        "api.example.com",
        443,
        "authorization",
        "Bearer {}",
    )
    assert secret.value == VALUE
    assert VALUE not in repr(agent)


def test_another_header_has_the_value_alone(home):
    """Unless a format says more; the value comes from the environment."""
    text = config("{host: 'h.example:8443', header: X-Api-Key, value_from: {env: SOME_TOKEN}}")
    (secret,) = load(home, text, SOME_TOKEN=VALUE).agents["a"].profile.secrets
    assert (secret.port, secret.header, secret.form, secret.value) == (8443, "x-api-key", "{}", VALUE)


def test_a_command_is_not_run_when_the_config_is_read(home, tmp_path):
    """`config check` and `agent list` would run it each time."""
    script = tmp_path / "tell"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o700)
    (secret,) = load(home, config(f"{{host: h.example, value_from: {{command: [{script}, x]}}}}")).agents["a"].profile.secrets
    assert (secret.value, secret.command) == (None, (str(script), "x"))
    assert not (tmp_path / "ran").exists()


def test_inside_there_is_a_placeholder_and_nothing_of_a_dotenv(home):
    """Neither under the secret's name, nor under the name that its value comes from; another agent loses that one too."""
    text = config("{host: h.example, value_from: {env: RAW_VALUE}}") + "  b: {}\n"
    env = f"TOKEN=from-dotenv\nRAW_VALUE={VALUE}\nPLAIN=1\n"
    agents = load(home, text, {"profiles/a/.env": env, "profiles/b/.env": env}).agents
    inside = {name: agents[name].profile.confinement() for name in "ab"}
    assert dict(inside["a"].env)["TOKEN"] == "hermes-iso-secret-TOKEN"
    assert "TOKEN" not in dict(inside["b"].env)
    files = {name: {f.target: f.content for f in inside[name].files}["/hermes/.env"] for name in "ab"}
    assert parse_env(files["a"].decode()).values == {"PLAIN": "1"}
    assert parse_env(files["b"].decode()).values == {"TOKEN": "from-dotenv", "PLAIN": "1"}
    assert VALUE.encode() not in b"".join(each.content for each in inside["a"].files)


GOOD = "value_from: {env: HOME_TOKEN}"


@pytest.mark.parametrize(
    ("secret", "line"),
    [
        ("5", ": must be a mapping, found a number; correct it"),
        (f"{{{GOOD}}}", ".host: is missing; add it"),
        ("{host: h.example}", ".value_from: is missing; add it"),
        (f"{{hots: h.example, {GOOD}}}", ".host: is missing; add it|.hots: unknown key; did you mean 'host'?"),
        (f"{{host: 10.0.0.1, {GOOD}}}", ".host: '10.0.0.1' is an address and not a name; write a name: egress.resolve may lead it to an address"),
        (f"{{host: 'https://h.example', {GOOD}}}", ".host: '//h.example' is no port: write a number from 1 to 65535; write HOST or HOST:PORT, without https:// and without *"),
        (f"{{host: '*.example', {GOOD}}}", ".host: '*.example' is no host name; write HOST or HOST:PORT, without https:// and without *"),
        (f"{{host: 'h.example:0', {GOOD}}}", ".host: '0' is no port: write a number from 1 to 65535; write HOST or HOST:PORT, without https:// and without *"),
        (f"{{host: h.example, header: Host, {GOOD}}}", ".header: 'Host' can't carry a credential; name another header"),
        (f"{{host: h.example, header: 'a b', {GOOD}}}", ".header: 'a b' can't carry a credential; name another header"),
        (f"{{host: h.example, format: Bearer, {GOOD}}}", '.format: must hold {} once, in plain characters, such as "Bearer {}"; correct it'),
        (f"{{host: h.example, format: '{{}}{{}}', {GOOD}}}", '.format: must hold {} once, in plain characters, such as "Bearer {}"; correct it'),
        (f"{{host: h.example, format: 'Basic {{}}', {GOOD}}}", '.format: must be "Basic USER:{}" or "Basic {}:PASSWORD"; it is encoded by the gateway'),
        ("{host: h.example, value_from: {}}", ".value_from: must hold one of file, command and env, found 0; correct it"),
        ("{host: h.example, value_from: {env: HOME_TOKEN, file: /x}}", ".value_from: must hold one of file, command and env, found 2; correct it"),
        ("{host: h.example, value_from: {vault: x}}", ".value_from: must hold one of file, command and env, found 0; correct it|.value_from.vault: unknown key; possible: command, env, file"),
        ("{host: h.example, value_from: {env: NO_SUCH}}", ".value_from.env: refers to 'NO_SUCH', which is set nowhere; add it to HOME/profiles/a/.env"),
        ("{host: h.example, value_from: {env: SHORT}}", ".value_from.env: what it leads to has 5 characters, and a secret has 8 to 16384; correct it"),
        ("{host: h.example, value_from: {env: BLANK}}", ".value_from.env: what it leads to holds blanks, line breaks or characters that no header takes; correct it"),
        ("{host: h.example, value_from: {command: []}}", ".value_from.command: must not be empty; write [PROGRAM, ARGUMENT, …]"),
        ("{host: h.example, value_from: {command: pass}}", ".value_from.command: must be a list, found text; write it as [one, two]"),
        ("{host: h.example, value_from: {command: [pass, show]}}", ".value_from.command: 'pass' is not the absolute path of a program that can be run; correct it"),
        ("{host: h.example, value_from: {file: token}}", ".value_from.file: token is not an absolute path; write one"),
        ("{host: h.example, value_from: {file: /no/such}}", ".value_from.file: /no/such can't be read (No such file or directory); correct the path or its permissions"),
        ("{host: h.example, value_from: {file: /etc}}", ".value_from.file: /etc is not a file; name one"),
    ],
)  # fmt: skip
def test_a_wrong_secret_has_its_line(home, secret, line):
    """What was asked, what was found, what to do; never a value."""
    found = mistakes(home, config(secret), HOME_TOKEN=VALUE, SHORT="12345", BLANK="two words here")
    assert found == [f"HOME/config.yaml:5: agents.a.secrets.TOKEN{each}" for each in line.split("|")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("A-B", "'A-B' can't be a secret's name; use letters, digits and _"),
        ("PATH", "PATH means something else in the environment of a turn; choose another name"),
        ("LD_PRELOAD", "LD_PRELOAD means something else in the environment of a turn; choose another name"),
        ("https_proxy", "https_proxy means something else in the environment of a turn; choose another name"),
        ("HERMES_ISO_AGENT", "HERMES_ISO_AGENT means something else in the environment of a turn; choose another name"),
    ],
)
def test_a_name_that_means_something_else_is_refused(home, name, message):
    """The environment inside is the gateway's but for the agent's own names."""
    text = BASE.replace("TOKEN", name) + "{host: h.example, value_from: {env: X}}\n"
    assert mistakes(home, text, X=VALUE) == [f"HOME/config.yaml:5: agents.a.secrets.{name}: {message}"]


@pytest.mark.parametrize(("handed_back", "key"), [("TOKEN", ""), ("RAW", ".value_from.env")])
def test_a_secret_is_not_let_in_by_another_key(home, handed_back, key):
    """`sandbox.env` would undo it."""
    text = config("{host: h.example, value_from: {env: RAW}}") + f"    sandbox: {{env: [{handed_back}]}}\n"
    message = f"sandbox.env lets {handed_back} in as it is; remove it there"
    assert mistakes(home, text, RAW=VALUE) == [f"HOME/config.yaml:5: agents.a.secrets.TOKEN{key}: {message}"]


def test_a_file_that_others_read_is_refused(home, file):
    """A secret that others have is none."""
    file.chmod(0o640)
    (line,) = mistakes(home, config(f"{{host: h.example, value_from: {{file: {file}}}}}"))
    key = "HOME/config.yaml:5: agents.a.secrets.TOKEN.value_from.file"
    assert line == f"{key}: {file} is open to others; give it to the gateway's user alone: chmod 600"


@pytest.mark.parametrize(
    "place", ["profiles/a/workspace/x", "profiles/b/skills/x", "workspace/x", "profiles/a/SOUL.md", "profiles/b/hooks/x"]
)
def test_a_file_that_some_agent_sees_is_refused(home, place):
    """Its own workspace, another agent's directories, and what the operator shows."""
    make_home(home, None, {place: VALUE})
    os.chmod(home / place, 0o600)
    text = config(f"{{host: h.example, value_from: {{file: {home}/{place}}}}}") + "  b: {}\n"
    (line,) = mistakes(home, text)
    assert re.fullmatch(
        r"HOME/config.yaml:5: agents.a.secrets.TOKEN.value_from.file: .* lies where agent \w+ can see it; move it elsewhere",
        line,
    )


def test_models_name_what_programs_may_ask(home):
    """Not written: no model host. Empty: the agent's own. Names are resolved as `model` is."""
    text = "model: {default: one, provider: custom, base_url: 'http://127.0.0.1:1/v1', api_key: k}\nagents:\n  a: {models: [two, anthropic/three]}\n  b: {models: []}\n  c: {}\n"
    agents = load(home, text, ANTHROPIC_API_KEY="k").agents
    assert [(s.provider, s.model, s.base_url) for s in agents["a"].models] == [
        ("custom", "two", "http://127.0.0.1:1/v1"),
        ("anthropic", "three", "https://api.anthropic.com"),
    ]
    assert (agents["b"].models, agents["c"].models) == ((), None)


@pytest.mark.parametrize(
    ("models", "line"),
    [
        ("gpt", ": must be a list, found text; write it as [one, two]"),
        ("", ": must be a list, found nothing; correct it"),
        ("[5]", "[0]: must be text, found a number; write it in quotes"),
        ("[nobody/x]", "[0]: 'nobody/x' names no known provider; write provider/name, or provider: beside it"),
        ("[builtin/online]", "[0]: there is no built-in model 'online'; did you mean builtin/offline?"),
    ],
)
def test_a_wrong_list_of_models_has_its_line(home, models, line):
    """As every wrong model."""
    text = f"model: builtin/offline\nagents:\n  a:\n    models: {models}\n"
    assert mistakes(home, text) == [f"HOME/config.yaml:4: agents.a.models{line}"]


def test_fallbacks_are_read_as_hermes_reads_them(home):
    """The list first, then the older key, each once; what can't be used is left out with a warning."""
    text = """
        model: builtin/offline
        fallback_providers:
          - {provider: openrouter, model: a/b, api_key: k1}
          - {provider: custom, model: c, base_url: 'http://127.0.0.1:1/v1', key_env: SPARE}
          - {provider: nobody, model: d}
          - {model: without-provider}
          - text
        fallback_model: {provider: openrouter, model: a/b, api_key: k1}
        agents: {a: {}}
    """
    config = load(home, text, SPARE="k2")
    found = config.agents["a"].fallbacks
    assert [(s.provider, s.model, s.api_key) for s in found] == [("openrouter", "a/b", "k1"), ("custom", "c", "k2")]
    assert any("fallback_providers[2]" in warning and "left out" in warning for warning in config.warnings)
