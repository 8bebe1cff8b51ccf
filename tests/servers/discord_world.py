"""What a Discord server for tests knows: servers, channels, threads and their messages, and who listens."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

EPOCH = 1420070400000
MESSAGE_CHARS = 2000
TEXT, DM, FORUM, PUBLIC_THREAD = 0, 1, 15, 11


class RefusalError(Exception):
    """What a bot asks is refused."""

    def __init__(self, status: int, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass
class Session:
    """A bot's session: what it was sent, and who listens. `listener` takes an event; None while nobody is connected."""

    token: str
    id: str
    events: list[dict[str, Any]] = field(default_factory=list)
    listener: Any = None
    gone: bool = False


@dataclass
class World:
    """Everything that a server knows. only: servers and direct channels that just one bot is in, by its token."""

    bots: dict[str, dict[str, Any]] = field(default_factory=dict)
    guilds: dict[int, dict[str, Any]] = field(default_factory=dict)
    channels: dict[int, dict[str, Any]] = field(default_factory=dict)
    messages: dict[int, dict[int, dict[str, Any]]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    commands: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    only: dict[int, str] = field(default_factory=dict)
    roles: dict[int, list[str]] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    last: int = 0

    def number(self) -> int:
        """Return a new id, as Discord makes them: the time, and a count."""
        self.last = max(self.last + 1, int(time.time() * 1000) - EPOCH << 22)
        return self.last

    def bot(self, token: str) -> dict[str, Any]:
        """Return a bot, made when it is first named; its id is in its token."""
        parts = token.split(".")
        if token in self.revoked or len(parts) != 3 or not parts[0].isdecimal():
            raise RefusalError(401, "401: Unauthorized")
        number = parts[0]
        return self.bots.setdefault(token, user(int(number), bot=True))

    def guild(self, guild_id: int, *, roles: list[int] | None = None) -> dict[str, Any]:
        """Return a server, made when it is first named."""
        return self.guilds.setdefault(
            guild_id,
            {
                "id": str(guild_id),
                "name": f"guild {guild_id}",
                "owner_id": "1",
                "region": "x",
                "roles": [role(each) for each in (guild_id, *(roles or []))],
                "emojis": [],
                "stickers": [],
                "features": [],
                "verification_level": 0,
                "default_message_notifications": 0,
                "explicit_content_filter": 0,
                "mfa_level": 0,
                "nsfw_level": 0,
                "premium_tier": 0,
                "preferred_locale": "en-US",
                "afk_timeout": 300,
                "system_channel_flags": 0,
                "premium_progress_bar_enabled": False,
                "member_count": 2,
            },
        )

    def channel(
        self, channel_id: int, guild_id: int | None = None, *, kind: int = TEXT, parent: int | None = None, owner: int = 0
    ):
        """Return a channel, made when it is first named; bots learn of one that is new to a server which they know."""
        if channel_id in self.channels:
            return self.channels[channel_id]
        made: dict[str, Any] = {"id": str(channel_id), "type": kind, "name": f"channel-{channel_id}", "last_message_id": None}
        if guild_id is None:
            made |= {"type": DM, "recipients": [user(owner or 1)]}
        else:
            made |= {"guild_id": str(guild_id), "position": 0, "permission_overwrites": [], "parent_id": None, "nsfw": False}
        if kind == PUBLIC_THREAD:
            stamp = "2026-01-01T00:00:00+00:00"
            about = {"archived": False, "auto_archive_duration": 60, "archive_timestamp": stamp, "locked": False}
            made |= {"parent_id": str(parent), "owner_id": str(owner), "message_count": 0, "member_count": 1}
            made |= {"thread_metadata": about, "rate_limit_per_user": 0}
        self.channels[channel_id] = made
        self.messages[channel_id] = {}
        if guild_id is not None:
            self.dispatch("THREAD_CREATE" if kind == PUBLIC_THREAD else "CHANNEL_CREATE", made, guild_id=guild_id)
        return made

    def guild_create(self, guild_id: int) -> dict[str, Any]:
        """Return what a bot is told of a server."""
        own = [each for each in self.channels.values() if each.get("guild_id") == str(guild_id)]
        return self.guilds[guild_id] | {
            "channels": [each for each in own if each["type"] != PUBLIC_THREAD],
            "threads": [each for each in own if each["type"] == PUBLIC_THREAD],
            "members": [],
            "voice_states": [],
            "presences": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "unavailable": False,
            "large": False,
            "joined_at": "2026-01-01T00:00:00+00:00",
        }

    def say(self, channel_id: int, text: str, *, author: int = 7, roles: list[int] | None = None, **more: Any) -> int:
        """Let somebody write into a channel, and return the message's id."""
        message = self.message(channel_id, user(author), content=text, **more)
        event = dict(message)
        guild_id = self.channels[channel_id].get("guild_id")
        if guild_id is not None:
            self.roles[author] = [str(each) for each in roles or []]
            event |= {"guild_id": guild_id, "member": self.member(author)}
        self.dispatch("MESSAGE_CREATE", event, guild_id=guild_id or channel_id)
        return int(message["id"])

    def member(self, number: int) -> dict[str, Any]:
        """Return what somebody is in every server."""
        about = {"joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}
        return about | {"roles": self.roles.get(number, [])}

    def use(self, channel_id: int, name: str, args: str = "", *, author: int = 7, token: str = "") -> int:
        """Let somebody use a slash command of a bot's (of any, where none is named)."""
        number = self.number()
        options = [{"type": 3, "name": "args", "value": args}] if args else []
        channel = self.channels[channel_id]
        event: dict[str, Any] = {
            "id": str(number),
            "application_id": next(iter(self.bots.values()))["id"],
            "type": 2,
            "data": {"id": "1", "name": name, "type": 1, "options": options},
            "channel_id": str(channel_id),
            "channel": channel,
            "token": f"interaction-{number}",
            "version": 1,
            "attachment_size_limit": 10 << 20,
            "entitlements": [],
            "authorizing_integration_owners": {},
            "user": user(author),
        }
        if "guild_id" in channel:
            member = {"user": user(author), "roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False}
            event |= {"guild_id": channel["guild_id"], "member": member | {"flags": 0, "permissions": "0"}}
            event.pop("user")
        self.dispatch("INTERACTION_CREATE", event, token=token)
        return number

    def message(self, channel_id: int, author: dict[str, Any], **content: Any) -> dict[str, Any]:
        """Put a message into a channel."""
        channel = self.channels[channel_id]
        number = self.number()
        text = content.get("content", "")
        message = {
            "id": str(number),
            "channel_id": str(channel_id),
            "author": author,
            "content": text,
            "timestamp": "2026-01-01T00:00:00+00:00",
            "edited_timestamp": None,
            "tts": False,
            "mention_everyone": False,
            "mentions": [bot for bot in self.bots.values() if f"<@{bot['id']}>" in text],
            "mention_roles": [],
            "attachments": [],
            "embeds": [],
            "pinned": False,
            "type": 0,
            **content,
        }
        channel["last_message_id"] = str(number)
        self.messages[channel_id][number] = message
        return message

    def texts(self, channel_id: int) -> list[str]:
        """Return what bots have written in a channel, as it stands now, the oldest first."""
        return [each["content"] for each in self.messages.get(channel_id, {}).values() if each["author"].get("bot")]

    def dispatch(self, kind: str, data: Any, *, guild_id: Any = None, token: str = "") -> None:
        """Send an event to every bot's session, or to one bot's."""
        for session in self.sessions.values():
            wanted = token or self.only.get(int(guild_id or 0), "")
            if not session.gone and wanted in ("", session.token):
                self.send(session, kind, data)

    def send(self, session: Session, kind: str, data: Any) -> None:
        """Send an event to a session; one that is not connected gets it when it resumes."""
        event = {"op": 0, "t": kind, "s": len(session.events) + 1, "d": data}
        session.events.append(event)
        if session.listener is not None:
            session.listener(event)


def user(number: int, *, bot: bool = False) -> dict[str, Any]:
    """Return a user as Discord describes them."""
    found = {"id": str(number), "username": f"user{number}", "discriminator": "0", "avatar": None, "global_name": None}
    return found | ({"bot": True} if bot else {})


def role(number: int) -> dict[str, Any]:
    """Return a role as Discord describes it."""
    about = {"name": f"role {number}", "color": 0, "hoist": False, "position": 0, "permissions": "0", "managed": False}
    return about | {"id": str(number), "mentionable": False, "flags": 0, "colors": {"primary_color": 0}}
