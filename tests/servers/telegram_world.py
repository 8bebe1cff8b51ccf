"""What a Telegram server knows: bots with their updates, chats with their messages, files; and what it refuses."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any

import trio

MESSAGE_UNITS = 4096
_MARKS = re.compile(r"(?P<mention>(?<!\w)@\w{3,32})|(?P<bot_command>(?<![\w/])/\w{1,32}(?:@\w{3,32})?)")


class RefusalError(Exception):
    """What Telegram refuses: an HTTP status, a description, and parameters."""

    def __init__(self, status: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.status = status
        self.parameters = parameters


def units(text: str) -> int:
    """Return the length of a text as Telegram counts it."""
    return len(text.encode("utf-16-le")) // 2


def entities_of(text: str) -> list[dict[str, Any]]:
    """Return the mentions and commands that Telegram marks in a text."""
    return [
        {"type": found.lastgroup, "offset": units(text[: found.start()]), "length": units(found[0])}
        for found in _MARKS.finditer(text)
    ]


@dataclass
class BotState:
    """One bot. `first` is the number of the first update that was not confirmed."""

    token: str
    id: int
    username: str
    updates: list[dict[str, Any]] = field(default_factory=list)
    next_update: int = 1000
    polls: int = 0
    webhook: str = ""
    secret: str = ""
    commands: list[Any] = field(default_factory=list)
    news: trio.Event = field(default_factory=trio.Event)

    @property
    def user(self) -> dict[str, Any]:
        """The bot as Telegram describes it."""
        return {"id": self.id, "is_bot": True, "first_name": self.username, "username": self.username}

    def wake(self) -> None:
        """Tell those who wait for updates that something has happened."""
        self.news.set()
        self.news = trio.Event()


@dataclass
class ChatState:
    """One chat."""

    id: int
    type: str
    is_forum: bool = False
    messages: dict[int, dict[str, Any]] = field(default_factory=dict)
    topics: set[int] = field(default_factory=set)
    refused: str = ""
    moved: int = 0

    @property
    def described(self) -> dict[str, Any]:
        """The chat as Telegram describes it."""
        found = {"id": self.id, "type": self.type, "title": f"chat {self.id}"}
        return found | ({"is_forum": True} if self.is_forum else {})


class World:
    """Everything that a server knows."""

    def __init__(self) -> None:
        self.bots: dict[str, BotState] = {}
        self.chats: dict[int, ChatState] = {}
        self.files: dict[str, bytes] = {}
        self.revoked: set[str] = set()
        self._last_message = 0

    def bot(self, token: str, username: str = "") -> BotState:
        """Return a bot, made when it is first named."""
        if token in self.revoked or not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", token):
            raise RefusalError(401, "Unauthorized")
        number = int(token.partition(":")[0])
        return self.bots.setdefault(token, BotState(token, number, username or f"test{number}_bot"))

    def chat(self, chat_id: int, kind: str = "private", *, is_forum: bool = False) -> ChatState:
        """Return a chat, made when it is first named."""
        return self.chats.setdefault(chat_id, ChatState(chat_id, kind, is_forum))

    def update(self, token: str, **content: Any) -> int:
        """Give a bot an update, and return its number."""
        bot = self.bot(token)
        bot.next_update += 1
        bot.updates.append({"update_id": bot.next_update, **content})
        bot.wake()
        return bot.next_update

    def raw(self, token: str, update: Any) -> None:
        """Give a bot an update as it stands, whatever it is."""
        bot = self.bot(token)
        if isinstance(update, dict) and isinstance(update.get("update_id"), int):
            bot.next_update = max(bot.next_update, update["update_id"])
        bot.updates.append(update)
        bot.wake()

    def say(
        self,
        token: str,
        chat_id: int,
        text: str = "",
        *,
        user: int | None = None,
        chat_type: str = "private",
        thread: int | None = None,
        forum: bool = False,
        reply_to: int | None = None,
        kind: str = "message",
        **more: Any,
    ) -> int:
        """Let somebody write to a bot, and return the message's id. A private chat's id is that of its user."""
        chat = self.chat(chat_id, chat_type, is_forum=forum)
        sender = chat_id if user is None else user
        message: dict[str, Any] = {"message_id": self.new_message(), "date": int(time.time()), "chat": chat.described, **more}
        if kind == "message" and "from" not in more:
            message["from"] = {"id": sender, "is_bot": False, "first_name": f"user {sender}"}
        if text:
            message |= {"text": text, "entities": entities_of(text)}
        if thread is not None:
            chat.topics.add(thread)
            message |= {"message_thread_id": thread, "is_topic_message": True}
        if reply_to is not None:
            message["reply_to_message"] = chat.messages[reply_to]
        chat.messages[message["message_id"]] = message
        self.update(token, **{kind: message})
        return int(message["message_id"])

    def edit(self, token: str, chat_id: int, message_id: int, text: str) -> None:
        """Let somebody write something else into their message."""
        message = self.chats[chat_id].messages[message_id] | {"text": text, "edit_date": int(time.time())}
        self.chats[chat_id].messages[message_id] = message
        self.update(token, edited_message=message)

    def new_message(self) -> int:
        """Return the next message's id."""
        self._last_message += 1
        return self._last_message

    def texts(self, chat_id: int, *, bot: int | None = None) -> list[str]:
        """Return what bots have written in a chat, as it stands now, the oldest first."""
        return [
            message.get("text", "")
            for message in self.chats[chat_id].messages.values()
            if message.get("from", {}).get("is_bot") and bot in (None, message["from"]["id"])
        ]

    # What bots ask

    def send(self, bot: BotState, params: dict[str, Any], **content: Any) -> dict[str, Any]:
        """Put a bot's message into a chat."""
        chat = self._chat_of(params)
        message: dict[str, Any] = {
            "message_id": 0,
            "date": int(time.time()),
            "chat": chat.described,
            "from": bot.user,
            **content,
        }
        if "text" in content:
            self._check_text(content["text"], params)
        thread = int(params["message_thread_id"]) if "message_thread_id" in params else None
        if thread is not None:
            if thread not in chat.topics or thread == 1:
                raise RefusalError(400, "Bad Request: message thread not found")
            message |= {"message_thread_id": thread, "is_topic_message": True}
        reply = json.loads(params["reply_parameters"]) if "reply_parameters" in params else {}
        if reply and reply["message_id"] in chat.messages:
            earlier = chat.messages[reply["message_id"]]
            message["reply_to_message"] = {key: value for key, value in earlier.items() if key != "reply_to_message"}
        elif reply and not reply.get("allow_sending_without_reply"):
            raise RefusalError(400, "Bad Request: message to be replied not found")
        message["message_id"] = self.new_message()
        chat.messages[message["message_id"]] = message
        return message

    def rewrite(self, bot: BotState, params: dict[str, Any]) -> dict[str, Any]:
        """Let a bot edit a message of its own."""
        chat = self._chat_of(params)
        message = chat.messages.get(int(params["message_id"]))
        if message is None:
            raise RefusalError(400, "Bad Request: message to edit not found")
        if message.get("from", {}).get("id") != bot.id:
            raise RefusalError(400, "Bad Request: message can't be edited")
        self._check_text(params.get("text", ""), params)
        entities = json.loads(params.get("entities", "[]"))
        if (message.get("text"), message.get("entities", [])) == (params["text"], entities):
            raise RefusalError(400, "Bad Request: message is not modified: specified new message content is exactly the same")
        message |= {"text": params["text"], "entities": entities, "edit_date": int(time.time())}
        return message

    def remove(self, params: dict[str, Any]) -> bool:
        """Remove a message."""
        if self._chat_of(params).messages.pop(int(params["message_id"]), None) is None:
            raise RefusalError(400, "Bad Request: message to delete not found")
        return True

    def _chat_of(self, params: dict[str, Any]) -> ChatState:
        chat = self.chats.get(int(params["chat_id"]))
        if chat is None:
            raise RefusalError(400, "Bad Request: chat not found")
        if chat.moved:
            raise RefusalError(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat.moved)
        if chat.refused:
            raise RefusalError(403, chat.refused)
        return chat

    def _check_text(self, text: str, params: dict[str, Any]) -> None:
        if not text.strip():
            raise RefusalError(400, "Bad Request: message text is empty")
        if units(text) > MESSAGE_UNITS:
            raise RefusalError(400, "Bad Request: message is too long")
        for entity in json.loads(params.get("entities", "[]")):
            if entity["length"] <= 0 or entity["offset"] < 0 or entity["offset"] + entity["length"] > units(text):
                raise RefusalError(400, "Bad Request: can't parse entities")
