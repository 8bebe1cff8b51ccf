"""Configs as people write them in the systems that this one follows: each loads as it stands, and routes as it says."""

import os
import pwd

import pytest

from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.routing import Router
from tests.support.homes import load

NAMED_AGENTS = """\
agents:
  main:
    default: true
    model: anthropic/claude-opus-4.6

  coder:
    model: anthropic/claude-sonnet-4
    personality: "You are a focused coding assistant."
    tools: coding

  assistant:
    model: google/gemini-3-flash-preview
    tools: [web_search, memory, clarify]

bindings:
  - agent: coder
    telegram: "-100123456"
  - agent: assistant
    whatsapp: "*"
"""
CHEAP_ON_TELEGRAM = """\
agents:
  main: {default: true, model: anthropic/claude-opus-4.6}
  telegram-bot: {model: google/gemini-3-flash-preview}
bindings:
  - {agent: telegram-bot, telegram: "*"}
"""
FAMILY = """\
agents:
  family:
    model: google/gemini-3-flash-preview
    personality: "You are a friendly family assistant."
    tools: [web_search, web_extract, memory, clarify, todo, image_generate]
bindings:
  - {agent: family, whatsapp: "*"}
"""
HOMES_ELSEWHERE = """\
default_agent: main
agents:
  main: {}
  wecom-agent:
    home_dir: ROOT/.hermes/profiles/wecom-agent
  code:
    model: kimi-for-coding
    provider: moonshot
    home_dir: ROOT/.hermes/profiles/code
routes:
  - match: { platform: wecom }
    agent: wecom-agent
  - match: { platform: matrix }
    agent: code
"""
NESTED = """\
gateway:
  profile_routes:
    telegram:
      "-1003961179976":
        "6": career
        "7": finance
        "9": research
        "13": systems
    discord:
      "789012345":
        "111222333": my-discord-agent
"""
TOPICS = """\
telegram:
  topic_profiles:
    "-1003961179976:6": career
    "-1003961179976:9": research
"""
PROFILES = {f"profiles/{name}/": "" for name in ("career", "finance", "research", "systems", "my-discord-agent")}


def chat(platform, chat_id="1", **more):
    return Inbound(ChatRef(platform, chat_id, **more), "hi", "m")


def group(thread):
    return chat("telegram", "-1003961179976", chat_type="group", thread_id=thread)


@pytest.mark.parametrize(
    ("config", "messages"),
    [
        (NAMED_AGENTS, {"coder": chat("telegram", "-100123456"), "assistant": chat("whatsapp"), "main": chat("telegram")}),
        *(
            (NAMED_AGENTS.replace("tools: coding", f"tools: {tools}"), {"coder": chat("telegram", "-100123456")})
            for tools in ("[terminal, read_file]", "{profile: messaging, deny: [terminal]}")
        ),
        (CHEAP_ON_TELEGRAM, {"telegram-bot": chat("telegram"), "main": chat("discord")}),
        (FAMILY, {"family": chat("whatsapp"), "main": chat("telegram")}),
        (HOMES_ELSEWHERE, {"wecom-agent": chat("wecom"), "code": chat("matrix"), "main": chat("telegram")}),
        (
            NESTED,
            {
                **{name: group(thread) for name, thread in (("career", "6"), ("finance", "7"), ("systems", "13"))},
                "my-discord-agent": chat("discord", "789012345", thread_id="111222333"),
                "main": group("8"),
            },
        ),
        (TOPICS, {"career": group("6"), "research": group("9"), "main": group("7")}),
    ],
    ids=["named", "allow list", "full form", "cheap", "family", "homes elsewhere", "nested", "topics"],
)
def test_a_config_of_others_loads_and_routes(tmp_path, config, messages):
    """Each message reaches the agent that its config names for it."""
    root = pwd.getpwuid(0).pw_dir
    if "ROOT" in config and not os.access(root, os.X_OK):
        pytest.skip("the config names places that only root may look into")
    router = Router(load(tmp_path / "home", config.replace("ROOT", root), PROFILES))
    assert {agent: router.route(message).agent for agent, message in messages.items()} == {agent: agent for agent in messages}


def test_a_home_that_is_still_to_be_made_is_a_warning(tmp_path):
    """It is no mistake: the gateway makes it, for its user alone."""
    config = load(tmp_path / "home", "model: builtin/offline\nagents:\n  a:\n    home_dir: ../far/away/a\n")
    assert config.warnings == (
        f"{tmp_path}/home/config.yaml:4: agents.a.home_dir: {tmp_path}/far/away/a does not exist yet; `run` makes it",
    )
    config.agents["a"].profile.ensure_directories()
    assert [(tmp_path / where).stat().st_mode & 0o777 for where in ("far", "far/away", "far/away/a")] == [0o700] * 3
