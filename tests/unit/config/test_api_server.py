"""Tests of hermes_iso.config.api_server: where the HTTP API listens and who may use it."""

import pytest

from hermes_iso.config.schema import ApiKey, ApiSettings
from tests.support.homes import load, mistakes

KEY, OTHER = "0123456789abcdef-main", "0123456789abcdef-bob"
MODEL = "model: builtin/offline\nagents: {coder: {}}\n"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def api(home, section="", env="", **environ):
    config = MODEL + (f"platforms: {{api_server: {section}}}\n" if section else "")
    return load(home, config, {".env": env}, **environ).api


def test_all_settings_are_read(home):
    """Every key of `extra` reaches the settings."""
    extra = (
        f"{{host: 0.0.0.0, port: 0, key: {KEY}, keys: {{bob: {{key: {OTHER}, agents: [Coder]}}}}, hosts: [Chat.Example],"
        " cors_origins: ['https://a.example'], strict_model: true, max_concurrent_runs: 3}"
    )
    assert api(home, f"{{enabled: true, extra: {extra}}}") == ApiSettings(
        host="0.0.0.0",
        port=0,
        keys=(ApiKey("default", KEY), ApiKey("bob", OTHER, frozenset({"coder"}))),
        hosts=frozenset({"chat.example"}),
        origins=frozenset({"https://a.example"}),
        strict_model=True,
    )


def test_a_key_in_the_env_file_turns_the_api_on(home):
    """As in Hermes: the key alone is enough, and its words win over the config's."""
    env = f"API_SERVER_KEY={KEY}\nAPI_SERVER_HOST=127.0.0.2\nAPI_SERVER_PORT=99\nAPI_SERVER_CORS_ORIGINS=https://x, https://y\n"
    section = f"{{enabled: true, extra: {{key: {OTHER}, port: 1, host: h}}}}"
    expected = ApiSettings("127.0.0.2", 99, (ApiKey("default", KEY),), origins=frozenset({"https://x", "https://y"}))
    assert api(home, section, env) == expected
    assert api(home.parent / "other", "", env) == expected


def test_the_environment_counts_after_the_env_file(home):
    """The root's .env first, then the gateway's environment."""
    assert api(home, API_SERVER_KEY=KEY).keys == (ApiKey("default", KEY),)
    assert api(home, env=f"API_SERVER_KEY={OTHER}\n", API_SERVER_KEY=KEY).keys == (ApiKey("default", OTHER),)


@pytest.mark.parametrize("written", ["'https://a, https://b'", "[https://a, https://b]"])
def test_origins_are_a_list_or_a_text_with_commas(home, written):
    """As in Hermes, both forms mean the same."""
    found = api(home, f"{{enabled: true, extra: {{key: {KEY}, cors_origins: {written}}}}}")
    assert found.origins == frozenset({"https://a", "https://b"})


@pytest.mark.parametrize("section", ["", "{enabled: false}", "{enabled: 'no', extra: {port: 1}}", "{}"])
def test_the_api_is_off_without_a_word(home, section):
    """Nothing is served that nobody asked for."""
    assert api(home, section) is None


def test_a_key_may_stand_as_a_reference(home):
    """`${NAME}` in a key is looked up in the root's .env."""
    assert api(home, "{enabled: true, extra: {key: '${MY}'}}", f"MY={KEY}\n").keys == (ApiKey("default", KEY),)


def test_a_profiles_env_file_says_nothing_about_the_api(home):
    """One gateway, one API: only the root home decides."""
    assert load(home, MODEL, {"profiles/coder/.env": f"API_SERVER_KEY={KEY}\n"}).api is None


def test_a_key_is_never_in_the_repr(home):
    """Settings that land in a log show no key."""
    assert KEY not in repr(api(home, env=f"API_SERVER_KEY={KEY}\n"))


@pytest.mark.parametrize("port", ["http", "70000", "-1", "8642.5", "٣"])
def test_a_port_in_the_env_file_must_be_one(home, port):
    """Hermes drops a bad port silently; here it is a mistake."""
    found = mistakes(home, MODEL, {".env": f"API_SERVER_KEY={KEY}\nAPI_SERVER_PORT={port}\n"})
    assert len(found) == 1
    assert found[0].startswith("HOME/.env:2: API_SERVER_PORT: is ")
    assert found[0].endswith(", but a port is a number up to 65535; correct it")


def test_a_bad_key_is_reported_where_it_stands(home):
    """In the `.env` file with its line, or as the gateway's environment."""
    found = mistakes(home, MODEL, {".env": "# keys\nAPI_SERVER_KEY=short\n"})
    assert found == ["HOME/.env:2: API_SERVER_KEY: is 5 characters long; a key needs at least 16"]
    found = mistakes(home, MODEL, {".env": ""}, API_SERVER_KEY="a key with blanks in it")
    assert len(found) == 1
    assert found[0].startswith("HOME/config.yaml:1: API_SERVER_KEY in the gateway's environment: holds a blank")
