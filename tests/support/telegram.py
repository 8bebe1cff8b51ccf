"""A Telegram adapter on a test server, with an intake that is a list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from hermes_iso.adapter import ChatAccount
from hermes_iso.messages import Inbound, Outbound
from hermes_iso_adapters.telegram import TelegramAdapter
from tests.servers.telegram_server import TelegramServer

TOKEN = "111:AAAA-first"
SETTINGS: Mapping[str, Any] = {
    "require_mention": False,
    "exclusive_bot_mentions": True,
    "guest_mode": False,
    "disable_link_previews": False,
    "allowed_chats": frozenset(),
    "allowed_topics": frozenset(),
    "ignored_threads": frozenset(),
    "free_response_chats": frozenset(),
    "free_response_topics": frozenset(),
    "base_file_url": "",
    "webhook_url": "",
    "proxy_url": "",
    "mention_patterns": (),
    "reply_to_mode": "first",
    "webhook_secret": "",
    "webhook_host": "127.0.0.1",
    "webhook_port": 0,
}


def account_of(server: TelegramServer, token: str = TOKEN, name: str = "default", **settings: Any) -> ChatAccount:
    """Return a bot's account on a server."""
    return ChatAccount("telegram", name, token, None, {**SETTINGS, "base_url": server.base_url, **settings})


@dataclass
class ListIntake:
    """Takes everything, each message once; `error` is raised instead while it is set."""

    taken: list[Inbound] = field(default_factory=list)
    error: Exception | None = None
    seen: set[Any] = field(default_factory=set)

    async def accept(self, inbound: Inbound) -> None:
        """Take a message."""
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        key = (inbound.chat.account_id, inbound.platform_id)
        if key not in self.seen:
            self.seen.add(key)
            self.taken.append(inbound)

    async def wait_for(self, count: int) -> list[Inbound]:
        """Wait until so many were taken."""
        with trio.fail_after(10):
            while len(self.taken) < count:
                await trio.sleep(0.01)
        return self.taken


@dataclass
class ListNotes:
    """Notes in memory."""

    sent: list[str] = field(default_factory=list)

    async def note(self, platform_id: str) -> None:
        """Keep an id."""
        await trio.lowlevel.checkpoint()
        self.sent.append(platform_id)


def outbound(inbound: Inbound, text: str) -> Outbound:
    """Return an answer to a message."""
    return Outbound(inbound.chat, text, "turn", "main", "session")


@asynccontextmanager
async def served(adapter: TelegramAdapter, intake: ListIntake) -> AsyncIterator[TelegramAdapter]:
    """Serve an adapter while the body runs."""
    async with trio.open_nursery() as nursery:
        with trio.fail_after(10):
            await nursery.start(adapter.serve_adapter, intake)
        yield adapter
        nursery.cancel_scope.cancel()
