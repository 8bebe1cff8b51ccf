"""Tests of hermes_iso.config.model_choice: which model answers, where, and with which key."""

# ruff: noqa: E501  a mistake and its line stand side by side

import pytest

from hermes_iso.agents import ModelSettings
from tests.support.homes import load, mistakes

URL = "http://127.0.0.1:9/v1"


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def model(home, config, files=None, agent="main", **environ):
    return load(home, config, files, **environ).agents[agent].model


def short(settings):
    return settings.provider, settings.model, settings.base_url, settings.api_key


@pytest.mark.parametrize(
    ("config", "env", "found"),
    [
        ("model: builtin/offline", "", ("builtin", "offline", "", None)),
        ("model: {provider: builtin, default: offline}", "", ("builtin", "offline", "", None)),
        ("model: openai/gpt-x", "OPENAI_API_KEY=k", ("openai", "gpt-x", "https://api.openai.com/v1", "k")),
        ("model: openai/gpt-x", "", ("openai", "gpt-x", "https://api.openai.com/v1", None)),
        ("model: Anthropic/claude-x", "ANTHROPIC_TOKEN=k", ("anthropic", "claude-x", "https://api.anthropic.com", "k")),
        ("model: openrouter/a/b", "OPENROUTER_API_KEY=k", ("openrouter", "a/b", "https://openrouter.ai/api/v1", "k")),
        (
            "model: anthropic/claude-x",
            "OPENROUTER_API_KEY=k",
            ("openrouter", "anthropic/claude-x", "https://openrouter.ai/api/v1", "k"),
        ),
        ("model: nobody/m", "OPENROUTER_API_KEY=k", ("openrouter", "nobody/m", "https://openrouter.ai/api/v1", "k")),
        (
            "model: {default: nobody/m, provider: auto}",
            "OPENROUTER_API_KEY=k",
            ("openrouter", "nobody/m", "https://openrouter.ai/api/v1", "k"),
        ),
        (
            "model: {default: anthropic/claude-x, provider: claude}",
            "",
            ("anthropic", "claude-x", "https://api.anthropic.com", None),
        ),
        ("model: bare", "DEEPSEEK_API_KEY=k", ("deepseek", "bare", "https://api.deepseek.com/v1", "k")),
        ("model: moonshot/k", "KIMI_API_KEY=k\nKIMI_BASE_URL=http://127.0.0.1:9/v1/", ("kimi-coding", "k", URL, "k")),
        (f"model: {{default: m, base_url: '{URL}'}}", "OPENAI_API_KEY=k", ("custom", "m", URL, None)),
        (
            "model: {default: anthropic/m, provider: auto, base_url: 'https://openrouter.ai/api/v1/'}",
            "OPENROUTER_API_KEY=k\nANTHROPIC_API_KEY=other",
            ("openrouter", "anthropic/m", "https://openrouter.ai/api/v1", "k"),
        ),
        (
            "model: {default: m, base_url: 'https://openrouter.ai.evil.example/api/v1'}",
            "OPENROUTER_API_KEY=k",
            ("custom", "m", "https://openrouter.ai.evil.example/api/v1", None),
        ),
        (
            "model: {default: m, base_url: 'http://openrouter.ai/api/v1'}",
            "OPENROUTER_API_KEY=k",
            ("custom", "m", "http://openrouter.ai/api/v1", None),
        ),
        (f"model: {{default: a/m, provider: custom, base_url: '{URL}'}}", "OPENAI_API_KEY=k", ("custom", "a/m", URL, None)),
        (
            f"model: {{default: m, provider: custom, base_url: '{URL}', api_key: '${{MINE}}'}}",
            "MINE=k",
            ("custom", "m", URL, "k"),
        ),
        ("model: {model: m, provider: custom, base_url: '${WHERE}'}", f"WHERE={URL}", ("custom", "m", URL, None)),
        ("model: ollama/qwen3:8b", "", ("ollama", "qwen3:8b", "http://127.0.0.1:11434/v1", None)),
        (
            f"model: {{default: m, provider: lab}}\nproviders: {{Lab: {{base_url: '{URL}', key_env: LAB}}}}",
            "LAB=k",
            ("custom", "m", URL, "k"),
        ),
        (f"model: lab/m\ncustom_providers: [{{name: lab, base_url: '{URL}', api_key: k}}]", "", ("custom", "m", URL, "k")),
    ],
)
def test_a_model_is_resolved(home, config, env, found):
    """Text or mapping, known or own provider, key and address from where Hermes takes them."""
    assert short(model(home, config + "\n", {".env": env + "\n"})) == found


def test_a_missing_key_has_a_hint_where_it_goes(home):
    """The hint names the variable and the file."""
    settings = model(home, "agents: {coder: {model: openai/m}}\n", agent="coder")
    assert settings.key_hint == f"OPENAI_API_KEY in {home}/profiles/coder/.env"


def test_a_provider_without_keys_has_no_hint(home):
    """An empty hint says that none is needed."""
    assert model(home, f"model: {{provider: custom, default: m, base_url: '{URL}'}}\n").key_hint == ""


@pytest.mark.parametrize(
    ("overlay", "profile", "root", "found"),
    [
        ("{}", "", "builtin/offline", ("builtin", "offline", "")),
        ("{model: ollama/a}", "model: ollama/b", "ollama/c", ("ollama", "a", "http://127.0.0.1:11434/v1")),
        ("{}", "model: ollama/b", "ollama/c", ("ollama", "b", "http://127.0.0.1:11434/v1")),
        ("{}", "", f"{{default: m, provider: custom, base_url: '{URL}'}}", ("custom", "m", URL)),
        ("{model: other}", "", f"{{default: m, provider: custom, base_url: '{URL}'}}", ("custom", "other", URL)),
        ("{model: org/other}", "", f"{{default: m, provider: custom, base_url: '{URL}'}}", ("custom", "org/other", URL)),
        (
            "{model: ollama/x}",
            "",
            f"{{default: m, provider: custom, base_url: '{URL}'}}",
            ("ollama", "x", "http://127.0.0.1:11434/v1"),
        ),
        (
            "{provider: ollama}",
            "",
            f"{{default: m, provider: custom, base_url: '{URL}'}}",
            ("ollama", "m", "http://127.0.0.1:11434/v1"),
        ),
        ("{model: x, provider: ollama}", "", "builtin/offline", ("ollama", "x", "http://127.0.0.1:11434/v1")),
    ],
)
def test_a_model_is_inherited(home, overlay, profile, root, found):
    """Overlay, then the profile's config, then the gateway's; an address never moves to another provider."""
    files = {"profiles/a/config.yaml": profile + "\n"}
    assert short(model(home, f"agents: {{a: {overlay}}}\nmodel: {root}\n", files, "a"))[:3] == found


def test_a_key_never_goes_to_another_provider(home):
    """The root's own api_key stays with the root's address."""
    config = f"agents: {{a: {{model: ollama/x}}}}\nmodel: {{default: m, provider: custom, base_url: '{URL}', api_key: k}}\n"
    assert model(home, config, agent="a").api_key is None
    assert model(home, config).api_key == "k"


def test_keys_come_from_the_profile_then_the_root_then_the_environment(home):
    """model.api_key, else the provider's variable in the profile's .env, the root's, the environment."""
    config = "agents: {a: {}, b: {}}\nmodel: openai/m\n"
    files = {".env": "OPENAI_API_KEY=root\n", "profiles/a/.env": "OPENAI_API_KEY=a\n"}
    agents = load(home, config, files, OPENAI_API_KEY="outside").agents
    assert [agents[name].model.api_key for name in ("main", "a", "b")] == ["root", "a", "root"]
    assert model(home.parent / "other", config, OPENAI_API_KEY="outside").api_key == "outside"


def test_api_mode_and_headers_reach_the_settings(home):
    """A custom endpoint may speak Anthropic's API and want headers."""
    settings = model(
        home,
        f"model: {{default: m, provider: custom, base_url: '{URL}', api_mode: anthropic_messages, headers: {{X-Team: '${{T}}'}}}}\n",
        {".env": "T=t\n"},
    )
    assert settings == ModelSettings("custom", "m", URL, "anthropic_messages", headers={"X-Team": "t"})


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ("model: nobody/m", "1: model: 'nobody/m' names no known provider; write provider/name, or provider: beside it"),
        (
            "model: opnai/m",
            "1: model: 'opnai/m' names no known provider; did you mean 'openai'?; write provider/name, or provider: beside it",
        ),
        ("model: bare", "1: model: 'bare' names no provider; write provider/name, or provider: beside it"),
        ("model: builtin/other", "1: model: there is no built-in model 'other'; did you mean builtin/offline?"),
        ("model: {provider: openai}", "1: model: names no model; write model: provider/name"),
        (
            "model:\n  default: m\n  provider: opnrouter",
            "3: model.provider: there is no provider 'opnrouter'; did you mean 'openrouter'?",
        ),
        (
            "model: {default: m, provider: openai-codex}",
            "1: model.provider: provider 'openai-codex' needs a login that is not available in this version; use a key",
        ),
        (
            "model: {default: m, provider: custom}",
            "1: model: provider 'custom' needs a base_url; add it, e.g. http://127.0.0.1:8000/v1",
        ),
        (
            "model: {default: m, base_url: 'ftp://x'}",
            "1: model.base_url: must be an http or https address without a password in it; correct it",
        ),
        (
            "model: {default: m, base_url: 'http://u:hunter2@x'}",
            "1: model.base_url: must be an http or https address without a password in it; correct it",
        ),
        (
            "model: {default: m, base_url: 'http://[x'}",
            "1: model.base_url: must be an http or https address without a password in it; correct it",
        ),
        (
            "model: {default: openai/m, api_key: '${NOPE}'}",
            "1: model.api_key: refers to NOPE, which is set nowhere; add it to HOME/.env",
        ),
        (
            "model: {default: openai/m, api_mode: codex_responses}",
            "1: model.api_mode: api_mode 'codex_responses' is not available in this version; use chat_completions or anthropic_messages",
        ),
        ("model: [x]", "1: model: must be a mapping, found a list; correct it"),
        (
            "agents: {main: {model: {default: openai/m, defalt: x}}}",
            "1: agents.main.model.defalt: unknown key; did you mean 'default'?",
        ),
        (
            "agents: {main: {provider: opnai}}\nmodel: x/y",
            "1: agents.main.provider: there is no provider 'opnai'; did you mean 'openai'?",
        ),
    ],
)
def test_a_wrong_model_has_its_line(home, config, line):
    """Each mistake names the key and what to write; no value that may be a secret is shown."""
    found = mistakes(home, config + "\n")
    assert [each.removeprefix("HOME/config.yaml:") for each in found] == [line]


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("", None),
        ("subagent: {model: anthropic/claude-s}", ("anthropic", "claude-s", "https://api.anthropic.com", None)),
        ("subagent: {model: {default: s, provider: anthropic}}", ("anthropic", "s", "https://api.anthropic.com", None)),
        ("agents: {a: {subagents: {model: openai/own}}}", ("openai", "own", "https://api.openai.com/v1", "k")),
        (
            "subagent: {model: anthropic/claude-s}\nagents: {a: {subagents: {model: openai/own}}}",
            ("openai", "own", "https://api.openai.com/v1", "k"),
        ),
        ("subagent: {model: small}", ("custom", "small", URL, "mine")),
        ("subagent: {model: {base_url: 'http://127.0.0.1:7/v1', default: x}}", ("custom", "x", "http://127.0.0.1:7/v1", None)),
        ("subagent: {}", None),
    ],
)
def test_model_of_subagents(home, config, found):
    """The agent's own word, else the top-level one, else None; a bare name goes where the agent's model is, with its key."""
    root = f"model: {{default: m, provider: custom, base_url: '{URL}', api_key: mine}}\n"
    agents = load(home, f"{root}{config}\n", {".env": "OPENAI_API_KEY=k\n", "profiles/a/": ""}).agents
    agents = agents if "a" in agents else load(home, f"{root}{config}\ngateway: {{serve: all}}\n").agents
    settings = agents["a"].subagents.model
    assert (short(settings) if settings else None) == found
    assert agents["a"].model.model == "m"


@pytest.mark.parametrize("config", ["subagent: {model: MODEL}", "agents: {a: {subagents: {model: MODEL}}}"])
def test_key_of_a_subagents_model_is_held_back(home, config):
    """A name that only their model refers to stays on the trusted side, as every provider's."""
    text = f"{{default: m, provider: custom, base_url: '{URL}', api_key: '${{LAB_TOKEN_X}}'}}"
    config = f"model: builtin/offline\ngateway: {{serve: all}}\n{config.replace('MODEL', text)}\n"
    agents = load(home, config, {".env": "LAB_TOKEN_X=k\nOTHER=1\n", "profiles/a/.env": "LAB_TOKEN_X=l\nOTHER=1\n"}).agents
    for agent in agents.values():
        assert "LAB_TOKEN_X" in agent.profile.held
        assert "OTHER" not in agent.profile.held
    settings = agents["a"].subagents.model
    assert settings is not None
    assert settings.api_key == "l"
