"""A Discord adapter on a test server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hermes_iso.adapter import ChatAccount
from tests.servers.discord_server import DiscordServer

TOKEN = "111.AAAA.first"
BOT = 111
GUILD, ROOM, DIRECT = 500, 501, 600
SETTINGS: Mapping[str, Any] = {
    "require_mention": True,
    "thread_require_mention": False,
    "auto_thread": False,
    "slash_commands": True,
    "allowed_channels": frozenset(),
    "ignored_channels": frozenset(),
    "free_response_channels": frozenset(),
    "no_thread_channels": frozenset(),
    "reply_to_mode": "first",
    "proxy_url": "",
    "commands": (("new", "Begin a new session."), ("status", "Show what runs.")),
}


def account_of(server: DiscordServer, **settings: Any) -> ChatAccount:
    """Return a bot's account on a server."""
    where = {"base_url": server.base_url, "gateway_url": server.gateway_url}
    return ChatAccount("discord", "default", TOKEN, None, {**SETTINGS, **where, **settings})


def furnish(server: DiscordServer) -> None:
    """Give a server a guild with a room, and a direct channel."""
    server.world.bot(TOKEN)
    server.world.guild(GUILD, roles=[9])
    server.world.channel(ROOM, GUILD)
    server.world.channel(DIRECT, owner=7)
