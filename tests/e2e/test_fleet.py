"""Eight Telegram bots, two of Discord and HTTP in one gateway: messages answered once, in order, by the right agent.

The short form is part of every run; the long one sends 600 messages.
"""

from __future__ import annotations

import threading
import time

import pytest

from tests.servers.discord_server import discord_thread
from tests.servers.telegram_server import telegram_thread
from tests.support.gateways import KEY, running_gateway

AGENTS = ("main", "coder", "writer", "tester")
TELEGRAM = {f"t{number}": f"{number}00:AAAA" for number in range(1, 9)}
DISCORD = {"d1": "911.AAAA.first", "d2": "922.AAAA.second"}
GUILDS = {"d1": 5000, "d2": 6000}
PERSONS = 4  # chats of each Telegram bot; a Discord bot has a room, a thread and a direct channel, HTTP two chats

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def agent_of(account):
    """Return whose a bot is, by the routes of this fleet."""
    return AGENTS[int(account[1:]) % len(AGENTS)]


def write_home(home, telegram, discord):
    """Write a home with all the bots, each with a route to its agent."""
    home.mkdir()
    routes = "".join(f"- {{match: {{account_id: {name}}}, agent: {agent_of(name)}}}\n" for name in (*TELEGRAM, *DISCORD))
    bots = ", ".join(f"{name}: {{token: '{token}'}}" for name, token in TELEGRAM.items())
    more = ", ".join(f"{name}: {{token: '{token}'}}" for name, token in DISCORD.items())
    (home / "config.yaml").write_text(
        f"""\
model: builtin/offline
agents: {{coder: {{}}, writer: {{}}, tester: {{}}}}
group_sessions_per_user: false
routes:
{routes}
platforms:
  api_server: {{enabled: true, extra: {{port: 0, key: {KEY}}}}}
  telegram: {{enabled: true, extra: {{base_url: "{telegram.base_url}", allow_from: ["*"], accounts: {{{bots}}}}}}}
  discord:
    enabled: true
    extra:
      base_url: "{discord.base_url}"
      gateway_url: "{discord.gateway_url}"
      allow_from: ["*"]
      require_mention: false
      auto_thread: false
      accounts: {{{more}}}
"""
    )


def furnish(discord):
    """Give each Discord bot a server with a room and a thread, and a direct channel; returns the channels of each."""
    places = {}
    for name, token in DISCORD.items():
        guild = GUILDS[name]
        discord.world.bot(token)
        discord.world.guild(guild)
        discord.world.channel(guild + 1, guild)
        discord.world.channel(guild + 2, guild, kind=11, parent=guild + 1, owner=7)
        discord.world.channel(guild + 3, owner=7)
        discord.world.only |= {guild: token, guild + 3: token}
        places[name] = [guild + 1, guild + 2, guild + 3]
    return places


def talk_http(gateway, chat, count, answers):
    """Ask in one HTTP session, one message after another."""
    for number in range(count):
        agent = AGENTS[chat % len(AGENTS)]
        headers = {"X-Hermes-Session-Id": f"chat-{chat}", "Idempotency-Key": f"{chat}-{number}"}
        answers.append(gateway.answer(f"message {number} of {chat}", agent=agent, **headers))


@pytest.mark.parametrize("count", [2, pytest.param(15, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def test_a_fleet_answers_every_message_once_in_order_by_the_right_agent(tmp_path, count):
    """With limits, cut connections, errors and duplicated updates on the way."""
    with telegram_thread() as telegram, discord_thread() as discord:
        places = discord.call(furnish, discord)
        write_home(tmp_path / "home", telegram, discord)
        with running_gateway("--home", str(tmp_path / "home")) as gateway:
            wait_for(lambda: len(discord.world.sessions) == len(DISCORD), 30)
            chats = {10 * at + person: name for at, name in enumerate(TELEGRAM, start=1) for person in range(PERSONS)}
            said = [[], []]
            clients = [threading.Thread(target=talk_http, args=(gateway, at, count, each)) for at, each in enumerate(said)]
            for client in clients:
                client.start()
            for kind, method, value in (
                ("429", "sendMessage", 1),
                ("502", "editMessageText", 0),
                ("duplicate", "getUpdates", 0),
            ):
                telegram.call(telegram.fault, kind, method, times=2, value=value)
            discord.call(discord.fault, "429", "POST messages", times=2, value=0.2)
            for number in range(count):
                for chat, name in chats.items():
                    telegram.call(telegram.world.say, TELEGRAM[name], chat, f"message {number} of {chat}")
                for chat in [chat for channels in places.values() for chat in channels]:
                    discord.call(discord.world.say, chat, f"message {number} of {chat}")
                if number == count // 2:
                    discord.call(discord.cut)

            def texts(chat):
                server = telegram if chat in chats else discord
                return server.call(server.world.texts, chat)

            expected = {chat: agent_of(name) for chat, name in chats.items()}
            expected |= {chat: agent_of(name) for name, channels in places.items() for chat in channels}
            wait_for(lambda: all(len(texts(chat)) >= count and is_whole(texts(chat)[-1]) for chat in expected), 40 * count)
            for client in clients:
                client.join(60)
            time.sleep(1.5)  # an answer too many would come now
            assert len(expected) + len(said) == 40
            for chat, agent in expected.items():
                check(texts(chat), chat, agent, count)
            for chat, answers in enumerate(said):
                check(answers, chat, AGENTS[chat], count)


def check(texts, chat, agent, count):
    """Check that a chat has exactly its answers, in order, all by its agent."""
    assert [text.partition("): ")[2] for text in texts] == [f"message {number} of {chat}" for number in range(count)]
    assert {text.partition(" ")[0] for text in texts} == {f"agent={agent}"}


def is_whole(text):
    """Say whether an answer stands there to its end."""
    return " of " in text


def wait_for(condition, timeout):
    """Wait until something is so."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)
