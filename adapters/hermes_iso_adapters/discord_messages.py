"""From a message or a slash command of Discord's to an Inbound, or to nothing: who is meant, in which channel or thread.

Whether a server's message is for the bot follows Hermes' keys. All of this is called in asyncio's thread, where discord.py's
objects live; only what it returns crosses to trio.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import discord

from hermes_iso.adapter import ChatAccount
from hermes_iso.messages import Attachment, ChatRef, Inbound
from hermes_iso_adapters.chat_text import clean

TEXT_CHARS = 32_000
"""Characters of a message that are taken; Discord's own have at most 4000."""
QUOTE_CHARS = 500
NAME_CHARS = 200
MOST_FILES = 10
_ASKING = (discord.MessageType.default, discord.MessageType.reply)
_THREADS = (discord.ChannelType.public_thread, discord.ChannelType.private_thread, discord.ChannelType.news_thread)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads what one bot is sent. me: the bot's user id."""

    account: ChatAccount
    me: int

    def inbound(self, message: discord.Message) -> Inbound | None:
        """Return what a message asks of the agents, None when it asks nothing. Raises what a malformed one leads to."""
        if message.author.bot or message.webhook_id is not None or message.type not in _ASKING:
            return None
        if message.guild is not None and not self._is_for_me(message):
            return None
        attachments = tuple(_attachment(each) for each in message.attachments[:MOST_FILES])
        attachments += tuple(Attachment("sticker", "", clean(each.name)[:NAME_CHARS]) for each in message.stickers)
        text = self._without_name(clean(message.content)[:TEXT_CHARS])
        forwarded = [clean(each.content) for each in message.message_snapshots if each.content]
        text = text or "\n".join(forwarded)[:TEXT_CHARS]
        if not text.strip() and not attachments:
            return None
        return Inbound(
            chat=self._chat(message.channel, message.guild, begins=message if self._begins_thread(message) else None),
            text=text if text.startswith("/") else text + self._quoted(message),
            platform_id=str(message.id),
            user_id=str(message.author.id),
            agent=self.account.agent,
            attachments=attachments,
            roles=roles_of(message.author),
        )

    def command(self, interaction: discord.Interaction[Any]) -> Inbound | None:
        """Return a slash command that somebody used, None for another interaction."""
        data: Any = interaction.data or {}
        if interaction.type is not discord.InteractionType.application_command or data.get("type", 1) != 1:
            return None
        said = [str(option.get("value", "")) for option in data.get("options", ()) if isinstance(option, dict)]
        words = " ".join((f"/{data['name']}", *said)).strip()
        return Inbound(
            chat=self._chat(interaction.channel, interaction.guild),
            text=clean(words)[:TEXT_CHARS],
            platform_id=str(interaction.id),
            user_id=str(interaction.user.id),
            agent=self.account.agent,
            roles=roles_of(interaction.user),
        )

    def _chat(self, channel: Any, guild: discord.Guild | None, begins: discord.Message | None = None) -> ChatRef:
        """Return where a message came from. A thread is a chat of its own, as it is Discord's; a forum's post is one.

        begins: the message that is about to begin a thread, which will have that message's id.
        """
        thread = begins is not None or _is_thread(channel)
        where = str(begins.id) if begins is not None else str(channel.id)
        parent = channel.id if begins is not None else getattr(channel, "parent_id", None) if thread else None
        return ChatRef(
            platform="discord",
            chat_id=where,
            chat_type="dm" if guild is None else "thread" if thread else "group",
            thread_id=where if thread else None,
            parent_chat_id=None if parent is None else str(parent),
            guild_id=None if guild is None else str(guild.id),
            account_id=self.account.account_id,
        )

    def _is_for_me(self, message: discord.Message) -> bool:
        """Apply the rules for servers, in Hermes' order."""
        settings, here = self.account.settings, _places(message)
        if settings["allowed_channels"] and here.isdisjoint(settings["allowed_channels"] - {"*"} or here):
            return False
        if "*" in settings["ignored_channels"] or not here.isdisjoint(settings["ignored_channels"]):
            return False
        if not settings["require_mention"] or self._is_free(here) or self._is_mentioned(message):
            return True
        return not settings["thread_require_mention"] and self._is_in(message.channel)

    def _is_free(self, here: set[str]) -> bool:
        free: frozenset[str] = self.account.settings["free_response_channels"]
        return "*" in free or not here.isdisjoint(free)

    def _is_mentioned(self, message: discord.Message) -> bool:
        """Say whether a message names the bot: itself, by a reply that pings it, or by the role that is its own."""
        if any(user.id == self.me for user in message.mentions) or re.search(f"<@!?{self.me}>", message.content):
            return True
        return any(role.tags is not None and role.tags.bot_id == self.me for role in message.role_mentions)

    def _is_in(self, channel: Any) -> bool:
        """Say whether this is a thread that the bot has begun, or where it has written or was invited."""
        return _is_thread(channel) and (getattr(channel, "owner_id", 0) == self.me or getattr(channel, "me", None) is not None)

    def _begins_thread(self, message: discord.Message) -> bool:
        """Say whether the answer to a message is to begin a thread, as Hermes does for each that names it in a channel."""
        settings: Mapping[str, Any] = self.account.settings
        if not settings["auto_thread"] or message.type is not discord.MessageType.default:
            return False
        here = _places(message)
        plain = isinstance(message.channel, discord.TextChannel)
        return plain and not self._is_free(here) and here.isdisjoint(settings["no_thread_channels"])

    def _without_name(self, text: str) -> str:
        """Return a text without the name of the bot that it is for."""
        return re.sub(rf"<@!?{self.me}>[,:]*[ \t]*", "", text).strip()

    def _quoted(self, message: discord.Message) -> str:
        """Return what a message answers to, unless the bot said that, which the agent knows."""
        earlier = message.reference.resolved if message.reference is not None else None
        if not isinstance(earlier, discord.Message) or earlier.author.id == self.me:
            return ""
        said = " ".join(clean(earlier.content).split())
        return f'\n\n[In reply to: "{said[:QUOTE_CHARS]}"]' if said else ""


def _is_thread(channel: Any) -> bool:
    return getattr(channel, "type", None) in _THREADS


def _places(message: discord.Message) -> set[str]:
    """Return the ids that a list of channels may name for a message: its channel's, and its thread's parent's."""
    parent = getattr(message.channel, "parent_id", None)
    return {str(message.channel.id)} | ({str(parent)} if parent and _is_thread(message.channel) else set())


def roles_of(user: Any) -> tuple[str, ...]:
    """Return the roles that somebody has in a message's server; none in a direct message, whatever they have elsewhere."""
    return tuple(str(role.id) for role in user.roles) if isinstance(user, discord.Member) else ()


def _attachment(found: discord.Attachment) -> Attachment:
    """Return a file that came with a message."""
    media_type = clean(found.content_type or "")[:NAME_CHARS]
    kind = {"image": "photo", "audio": "audio", "video": "video"}.get(media_type.partition("/")[0], "document")
    voice = found.is_voice_message()
    return Attachment("voice" if voice else kind, found.url, clean(found.filename)[:NAME_CHARS], media_type, found.size)
