"""A Discord bot of a gateway: an answer that grows, and a gateway that is killed."""

from __future__ import annotations

import subprocess
import sys
import time

import httpx
import pytest

from tests.servers.discord_server import discord_thread
from tests.support.gateways import KEY, environment

TOKEN = "111.AAAA.first"
GUILD, ROOM = 500, 501

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]


def start(home):
    """Start a gateway; returns its process and URL."""
    argv = [sys.executable, "-m", "hermes_iso", "run", "--home", str(home)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment())
    line = process.stdout.readline()
    assert line.startswith("ready url="), line
    return process, line.split()[1].removeprefix("url=")


def end(process):
    """Kill a gateway at once."""
    process.kill()
    process.wait()
    process.stdout.close()


def wait_for(condition):
    """Wait until something is so."""
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)


def test_messages_are_answered_once_also_those_of_a_time_when_the_gateway_was_dead(tmp_path):
    """By its agent, in a thread, for who has the role; commands are offered; a killed gateway comes back and looks."""
    home = tmp_path / "home"
    home.mkdir()
    with discord_thread() as server:
        server.call(server.world.bot, TOKEN)
        server.call(server.world.guild, GUILD, roles=[9])
        server.call(server.world.channel, ROOM, GUILD)
        (home / "config.yaml").write_text(
            f"""\
model: builtin/offline
agents: {{coder: {{}}}}
routes: [{{match: {{platform: discord, guild_id: "{GUILD}", chat_id: "{ROOM}"}}, agent: coder}}]
platforms: {{api_server: {{enabled: true, extra: {{port: 0, key: {KEY}}}}}}}
discord: {{base_url: "{server.base_url}", gateway_url: "{server.gateway_url}", allowed_roles: [9]}}
"""
        )
        (home / ".env").write_text(f"DISCORD_BOT_TOKEN={TOKEN}\n")

        def say(text, roles, author=7):
            return server.call(server.world.say, ROOM, f"<@111> {text}", roles=roles, author=author)

        def texts(thread):
            return server.call(server.world.texts, thread)

        process, url = start(home)
        try:
            wait_for(lambda: TOKEN in server.world.commands)
            assert {"new", "status", "model"} <= {each["name"] for each in server.world.commands[TOKEN]}
            say("a stranger", [], 8)
            first = say("one", [9])
            wait_for(lambda: any(text.endswith("one") for text in texts(first)))
            end(process)
            second = say("two", [9])
            process, url = start(home)
            wait_for(lambda: any(text.endswith("two") for text in texts(second)))
            time.sleep(1)
            health = httpx.get(f"{url}/health/detailed", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
        finally:
            end(process)
        assert [len(texts(each)) for each in (first, second)] == [1, 1]
        assert all(text.startswith("agent=coder ") for each in (first, second) for text in texts(each))
        assert texts(ROOM) == []
        assert server.asked("PATCH messages")
        assert "discord" in str(health)
