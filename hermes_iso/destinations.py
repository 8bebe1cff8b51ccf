"""Destinations: to which chats an agent may write of itself, and what the words mean that name them.

What names a chat here was written by an agent, so nothing in it is believed. An agent may write where its config says so, to
the chat that an admin made its home, and to chats that are its own: those that the routes give to it, where the lists let
their people in or it has been talked to. A chat of another agent is refused, whoever's bot is in both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import apsw

from hermes_iso.admission import Admission
from hermes_iso.config.known import PLATFORMS
from hermes_iso.config.schema import Config
from hermes_iso.generation import Generation
from hermes_iso.history import clean_text
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.sessions import Sessions

ID_CHARS = 256
_MOST_CHATS = 10_000


class Served(Protocol):
    """The gateway, as its destinations see it."""

    @property
    def generation(self) -> Generation:
        """What is served now."""


class UnknownChatError(Exception):
    """A word names no chat that the agent may write to; says why."""


class Destinations:
    """Finds chats for the agents of one gateway."""

    def __init__(self, served: Served, sessions: Sessions, people: Admission) -> None:
        self._served = served
        self._sessions = sessions
        self._people = people

    async def found(self, agent: str, words: Iterable[str], origin: ChatRef | None) -> tuple[list[ChatRef], list[str]]:
        """Return the chats that the words of a job mean, each once, and a sentence for every word that means none.

        origin: as the agent says; it is one like all others. Without one, `origin` is the agent's home.
        """
        chats: dict[tuple[str, str, str, str], ChatRef] = {}
        problems: list[str] = []
        for word in words:
            try:
                for chat in await self._meant(agent, word, origin):
                    chats.setdefault((chat.platform, chat.account_id or "", chat.chat_id, chat.thread_id or ""), chat)
            except UnknownChatError as error:
                problems.append(str(error))
        return list(chats.values()), problems

    async def one(self, agent: str, word: str) -> ChatRef:
        """Return the one chat that a word means. Raises UnknownChatError."""
        return (await self._meant(agent, word, None))[0]

    async def known(self, agent: str) -> list[tuple[str, str]]:
        """Return the words that name chats which the agent may write to, each with what it is."""
        config = self._config
        contacts = config.agents[agent].contacts
        homes = [(chat.platform, "its home there") for chat in await self._homes(agent)]
        return [*homes, *((name, where) for name, where in contacts.chats.items())]

    def writes_to(self, agent: str, chat: ChatRef) -> bool:
        """Say whether there is an account through which an agent's messages to a chat could go."""
        return (chat.account_id or "").partition("/")[0] in self._accounts(agent, chat.platform)

    @property
    def _config(self) -> Config:
        return self._served.generation.config

    async def _meant(self, agent: str, word: str, origin: ChatRef | None) -> list[ChatRef]:
        """Return the chats that one word means, at least one. Raises UnknownChatError."""
        kind = word.lower()
        if kind == "origin" and origin is not None and self._accounts(agent, origin.platform):
            return [await self._allowed(agent, origin, word)]
        homes = await self._homes(agent)
        if kind in ("all", "origin"):
            if not homes:
                raise UnknownChatError(f"{word!r} is nowhere: agent {agent} has no home chat; /sethome makes a chat its home")
            return homes if kind == "all" else homes[:1]
        if kind in PLATFORMS:
            chats = [chat for chat in homes if chat.platform == kind]
            if not chats:
                raise UnknownChatError(f"agent {agent} has no home chat on {kind}; /sethome in a chat there makes it one")
            return chats
        return [await self._named(agent, word, origin)]

    async def _named(self, agent: str, word: str, origin: ChatRef | None) -> ChatRef:
        """Return the chat of a name, or of a platform's own id. Raises UnknownChatError."""
        contacts = self._config.agents[agent].contacts
        platform, _, rest = word.partition(":")
        written = contacts.chats.get(word.lstrip("#")) or contacts.chats.get(rest.lstrip("#"))
        if written is not None and (not rest or written.lower().startswith(f"{platform.lower()}:")):
            return self._chat(agent, written, None)
        return await self._allowed(agent, self._chat(agent, word, origin), word)

    def _chat(self, agent: str, word: str, origin: ChatRef | None) -> ChatRef:
        """Return the chat that PLATFORM:CHAT or PLATFORM:CHAT:THREAD is. Raises UnknownChatError."""
        platform, _, rest = word.partition(":")
        platform = platform.strip().lower()
        if platform not in PLATFORMS or not rest:
            shown = clean_text(word[:80])
            raise UnknownChatError(
                f"{shown!r} is no chat: write PLATFORM:CHAT, PLATFORM:CHAT:THREAD or a name of messages.chats"
            )
        chat_id, _, thread = (rest, "", "") if rest.startswith("!") else rest.partition(":")
        if origin is not None and (origin.platform, origin.chat_id, origin.thread_id or "") == (platform, chat_id, thread):
            return origin
        accounts = self._accounts(agent, platform)
        if not accounts or max(len(chat_id), len(thread)) > ID_CHARS:
            raise UnknownChatError(f"no account of {platform} is served through which agent {agent} could write")
        account = origin.account_id if origin is not None and origin.account_id in accounts else accounts[0]
        return ChatRef(platform, chat_id, _type_of(platform, chat_id), thread or None, account_id=account)

    def _accounts(self, agent: str, platform: str) -> list[str]:
        """Return the accounts of a platform that an agent may write through, its own one first."""
        mine = [each for each in self._config.chat_accounts if each.chat_platform == platform and each.agent in (None, agent)]
        return [each.account_id for each in sorted(mine, key=lambda each: each.agent is None)]

    async def _allowed(self, agent: str, chat: ChatRef, word: str) -> ChatRef:
        """Return a chat that an agent may write to. Raises UnknownChatError."""
        config, router = self._config, self._served.generation.router
        accounts = self._accounts(agent, chat.platform)
        if accounts and not chat.account_id:
            chat = replace(chat, account_id=accounts[0])
        if not self.writes_to(agent, chat):
            raise UnknownChatError(f"no account of {chat.platform} is served through which agent {agent} could write")
        homes = await self._homes(agent)
        written = {_place(self._chat(agent, each, None)) for each in config.agents[agent].contacts.chats.values()}
        if _place(chat) in written or any(_place(chat) == _place(each) for each in homes):
            return chat
        user = chat.chat_id if chat.chat_type == "dm" else None
        message = Inbound(chat, "", "", user_id=user)
        if router.decide(message).agent == agent and (
            self._people.admits(message, agent, config) or await self._talked(agent, chat)
        ):
            return chat
        shown = clean_text(word[:80])
        raise UnknownChatError(f"{shown!r} is no chat of agent {agent}: its messages.chats does not name it, nor is it its own")

    async def _talked(self, agent: str, chat: ChatRef) -> bool:
        """Say whether an agent has a session with a chat."""

        def select(connection: apsw.Connection) -> bool:
            found = connection.execute(
                "SELECT identity FROM chats WHERE instr(identity, ?) LIMIT ?", (chat.chat_id, _MOST_CHATS)
            )
            return any(_is_of(json.loads(str(identity)), agent, chat) for (identity,) in found)

        return await self._sessions.run(agent, select)

    async def _homes(self, agent: str) -> list[ChatRef]:
        """Return the home chats of an agent on the platforms that are served, the newest first."""

        def select(connection: apsw.Connection) -> list[tuple[Any, ...]]:
            columns = "platform, chat_id, chat_type, thread_id, account_id"
            return connection.execute(f"SELECT {columns} FROM home_chats ORDER BY set_at DESC").fetchall()  # noqa: S608

        found = [
            ChatRef(
                platform, chat_id, kind, thread or None, account_id=account or next(iter(self._accounts(agent, platform)), None)
            )
            for platform, chat_id, kind, thread, account in await self._sessions.run(agent, select)
        ]
        return [chat for chat in found if self.writes_to(agent, chat)]


def origin_of(record: Mapping[str, Any]) -> ChatRef | None:
    """Return the chat that a job says that it was made in; its agent may have written anything there."""
    origin = record.get("origin")
    if not isinstance(origin, dict):
        return None
    names = ("platform", "chat_id", "chat_type", "thread_id", "account_id")
    texts = [_id_text(origin.get(name)) for name in names]
    platform, chat_id, kind, thread, account = texts
    if not platform or not chat_id or max(map(len, texts)) > ID_CHARS:
        return None
    platform = platform.lower()
    return ChatRef(platform, chat_id, kind or _type_of(platform, chat_id), thread or None, account_id=account or None)


def _id_text(value: Any) -> str:
    """Return an id as text, '' for what is none."""
    return clean_text(str(value)[:1000]).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _type_of(platform: str, chat_id: str) -> str:
    """Return what kind of chat an id is of, where only the id is known: Telegram's groups have negative ones."""
    return "dm" if platform == "telegram" and not chat_id.startswith("-") else "group"


def _place(chat: ChatRef) -> tuple[str, str, str]:
    return (chat.platform, chat.chat_id, chat.thread_id or "")


def _is_of(identity: list[Any], agent: str, chat: ChatRef) -> bool:
    """Say whether the identity of a chat in a sessions.db is one of this chat."""
    return bool((identity[0], identity[2], identity[4]) == (agent, chat.platform, chat.chat_id))
