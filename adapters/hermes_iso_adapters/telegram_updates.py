"""From an update of Telegram's to an Inbound, or to nothing: who is meant, in which chat and topic, and what came with it.

Whether a group's message is for the bot follows Hermes' keys. What a user sends is taken apart by python-telegram-bot; anything
that it can't read is no message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from telegram import Bot, Message, MessageEntity, PhotoSize, Update, User

from hermes_iso.adapter import ChatAccount
from hermes_iso.messages import Attachment, ChatRef, Inbound
from hermes_iso_adapters.chat_text import clean

TEXT_CHARS = 32_000
"""Characters of a message that are taken; Telegram's own have at most 4096 units."""
QUOTE_CHARS = 500
NAME_CHARS = 200
GENERAL_TOPIC = "1"
"""The topic that a forum's messages belong to when they name none."""
_GROUPS = ("group", "supergroup")
_TYPES = {"private": "dm", "group": "group", "supergroup": "group", "channel": "channel"}
_ANONYMOUS = frozenset({1087968824, 136817688, 777000})
"""The accounts that stand for a group's anonymous admins, for channels that write in groups, and for forwarded posts."""
_BOT_NAME = re.compile(r"(?<![\w`/])@(\w{2,29}bot)\b", re.IGNORECASE)
_BOT_HANDLE = re.compile(r"\w{2,29}bot\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the updates of one bot. `me` is the bot itself; settings are the account's."""

    account: ChatAccount
    me: User
    patterns: Sequence[re.Pattern[str]] = field(default_factory=tuple)

    @staticmethod
    def of(account: ChatAccount, me: User) -> Reader:
        """Return the reader of a bot."""
        patterns = account.settings.get("mention_patterns", ())
        return Reader(account, me, tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns))

    def inbound(self, raw: Any, bot: Bot) -> Inbound | None:
        """Return what an update asks of the agents, None when it asks nothing. Raises ValueError for a malformed one."""
        try:
            update = Update.de_json(raw, bot)
            message = update.effective_message
            if update.callback_query is not None:
                return self._pressed(update)
            return None if message is None or not self._is_asked(message) else self._read(update.update_id, message)
        except (TypeError, KeyError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(type(error).__name__) from error

    def _read(self, update_id: int, message: Message) -> Inbound | None:
        """Return a message as an Inbound, None for one that only tells of something that happened."""
        attachments = _attachments(message)
        text = clean(message.text or message.caption or "")[:TEXT_CHARS]
        if not text.strip() and not attachments:
            return None
        text = self._without_name(text)
        sender = message.from_user
        anonymous = sender is None or sender.id in _ANONYMOUS
        named = message.sender_chat if anonymous and message.sender_chat else sender
        return Inbound(
            chat=self._chat(message),
            text=text if text.startswith("/") else text + self._quoted(message),
            platform_id=f"{update_id}:{message.message_id}",
            user_id=str(named.id) if named is not None else str(message.chat.id),
            agent=self.account.agent,
            attachments=attachments,
        )

    def _pressed(self, update: Update) -> Inbound | None:
        """Return the choice of somebody who pressed a button below a message of the bot's: as if it had been written.

        What it says is whatever the sender's client likes, also where there is no button: so it counts in open chats alone.
        """
        query = update.callback_query
        if query is None or not isinstance(query.message, Message) or not query.data or not self._is_open(query.message):
            return None
        return Inbound(
            chat=self._chat(query.message),
            text=clean(query.data)[:TEXT_CHARS],
            platform_id=f"{update.update_id}:{query.message.message_id}",
            user_id=str(query.from_user.id),
            agent=self.account.agent,
        )

    def _chat(self, message: Message) -> ChatRef:
        """Return where a message came from."""
        return ChatRef(
            platform="telegram",
            chat_id=str(message.chat.id),
            chat_type=_TYPES[message.chat.type],
            thread_id=_thread(message),
            account_id=self.account.account_id,
        )

    def _is_asked(self, message: Message) -> bool:
        """Say whether a message is for the bot: not its own or another bot's, and in a group by the account's rules."""
        sender = message.from_user
        if sender is not None and (sender.id == self.me.id or (sender.is_bot and sender.id not in _ANONYMOUS)):
            return False
        if message.chat.type not in _TYPES:
            return False
        return message.chat.type not in _GROUPS or self._is_for_me(message)

    def _is_for_me(self, message: Message) -> bool:
        """Apply the rules for groups, in Hermes' order."""
        settings: Mapping[str, Any] = self.account.settings
        thread, chat = _thread(message), str(message.chat.id)
        topic = thread or GENERAL_TOPIC
        if not self._is_open_topic(thread):
            return False
        mentioned = self._is_mentioned(message)
        if settings["exclusive_bot_mentions"] and not mentioned and self._others_mentioned(message):
            return False
        guest = settings["guest_mode"] and mentioned
        if settings["allowed_chats"] and chat not in settings["allowed_chats"]:
            return guest
        if guest or chat in settings["free_response_chats"] or f"{chat}:{topic}" in settings["free_response_topics"]:
            return True
        answers_me = message.reply_to_message is not None and message.reply_to_message.from_user == self.me
        said = message.text or message.caption or ""
        return not settings["require_mention"] or answers_me or mentioned or any(each.search(said) for each in self.patterns)

    def _is_open(self, message: Message) -> bool:
        """Say whether a message stands where the bot takes any: not in a group or topic that its account leaves out."""
        if message.chat.type not in _GROUPS:
            return message.chat.type in _TYPES
        chats = self.account.settings["allowed_chats"]
        return self._is_open_topic(_thread(message)) and (not chats or str(message.chat.id) in chats)

    def _is_open_topic(self, thread: str | None) -> bool:
        """Say whether the account takes messages of a group's topic."""
        topics, ignored = self.account.settings["allowed_topics"], self.account.settings["ignored_threads"]
        return (not topics or (thread or GENERAL_TOPIC) in topics) and thread not in ignored

    def _is_mentioned(self, message: Message) -> bool:
        """Say whether a message names the bot: by its @name, by a link to it, or as a command's target."""
        name = f"@{self.me.username}".lower()
        for kind, text, entity in _entities(message):
            if kind == MessageEntity.TEXT_MENTION and entity.user == self.me:
                return True
            if kind in (MessageEntity.MENTION, MessageEntity.BOT_COMMAND) and text.lower().endswith(name):
                return True
        return name[1:] in _names_without_entities(message)

    def _others_mentioned(self, message: Message) -> bool:
        """Say whether a message names other bots."""
        handles = [text.rpartition("@")[2] for kind, text, _ in _entities(message) if kind == MessageEntity.MENTION]
        handles += [text.rpartition("@")[2] for kind, text, _ in _entities(message) if kind == "bot_command" and "@" in text]
        return any(_BOT_HANDLE.match(each) for each in handles) or bool(_names_without_entities(message))

    def _without_name(self, text: str) -> str:
        """Return a text without the name of the bot that it is for; a command keeps what stands behind the name."""
        name = f"@{re.escape(self.me.username or '-')}\\b"
        if text.startswith("/"):
            return re.sub(rf"\A(/\w+){name}", r"\1", text, flags=re.IGNORECASE)
        return re.sub(rf"{name}[,:]*[ \t]*", "", text, flags=re.IGNORECASE).strip() or text

    def _quoted(self, message: Message) -> str:
        """Return what a message answers to, unless that is an answer of the bot's as a whole, which the agent knows."""
        earlier, quote = message.reply_to_message, message.quote
        if earlier is None or earlier.forum_topic_created is not None or (quote is None and earlier.from_user == self.me):
            return ""
        said = quote.text if quote is not None else earlier.text or earlier.caption or ""
        said = " ".join(clean(said).split())
        return f'\n\n[In reply to: "{said[:QUOTE_CHARS]}"]' if said else ""


def _thread(message: Message) -> str | None:
    """Return the topic that a message belongs to. A plain reply names a thread too, which is none."""
    if message.chat.type in _GROUPS and message.chat.is_forum:
        return str(message.message_thread_id or GENERAL_TOPIC)
    return str(message.message_thread_id) if message.is_topic_message and message.message_thread_id else None


def _entities(message: Message) -> list[tuple[str, str, MessageEntity]]:
    """Return what Telegram marked in a message: the kind, its text, and the entity."""
    found = message.parse_entities() if message.text else message.parse_caption_entities() if message.caption else {}
    return [(entity.type, text, entity) for entity, text in found.items()]


def _names_without_entities(message: Message) -> set[str]:
    """Return the bots that a message names where the sender's client marked nothing."""
    marked = message.entities or message.caption_entities
    return set() if marked else {name.lower() for name in _BOT_NAME.findall(message.text or message.caption or "")}


def _attachments(message: Message) -> tuple[Attachment, ...]:
    """Return the file or other thing that came with a message, if one did."""
    thing: Any = message.effective_attachment
    if not thing:
        return ()
    if isinstance(thing, Sequence):
        photo: PhotoSize = max(thing, key=lambda each: each.width * each.height)
        return (Attachment("photo", photo.file_id, "photo.jpg", "image/jpeg", photo.file_size),)
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(thing).__name__).lower()
    name, media_type = str(getattr(thing, "file_name", "") or ""), str(getattr(thing, "mime_type", "") or "")
    size = getattr(thing, "file_size", None)
    return (
        Attachment(
            kind,
            str(getattr(thing, "file_id", "")),
            clean(name)[:NAME_CHARS],
            clean(media_type)[:NAME_CHARS],
            size if isinstance(size, int) else None,
        ),
    )


def with_albums(found: Sequence[tuple[Any, Inbound]]) -> list[Inbound]:
    """Return messages in order, those of one album as one: Telegram sends each of its pictures by itself."""
    merged: list[Inbound] = []
    album = ""
    for raw, inbound in found:
        body = raw.get("message") if isinstance(raw, dict) else None
        group = str(body.get("media_group_id") or "") if isinstance(body, dict) else ""
        if group and group == album and merged[-1].chat == inbound.chat and merged[-1].user_id == inbound.user_id:
            last = merged[-1]
            text = last.text or inbound.text
            merged[-1] = replace(last, text=text, attachments=(*last.attachments, *inbound.attachments))
        else:
            merged.append(inbound)
        album = group
    return merged
