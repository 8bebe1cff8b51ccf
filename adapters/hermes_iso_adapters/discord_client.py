"""DiscordClient: one bot's connection, in asyncio's thread: discord.py's Client, which loses nothing of what is asked.

Messages go to trio through a mailbox. One that finds no room, one that comes while the bot is about to learn what there is, and
all that were written while it was away are not handed over as they come: their channel is *behind*, and what it says is
fetched from Discord, in order, from where the bot had got to. A channel that is behind stays so until it has been fetched to
its end, so that nothing overtakes.

discord.py keeps where Discord is in two variables of its classes: `point` sets them, for the whole process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import discord
import structlog
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from hermes_iso.adapter import ChatAccount
from hermes_iso.errors import AdapterError
from hermes_iso.messages import Inbound
from hermes_iso_adapters.aio_thread import Mailbox
from hermes_iso_adapters.discord_messages import Reader, roles_of

CATCH_UP_SECONDS = 600
"""Seconds for which a channel's messages are looked through that the bot knows nothing of: it may have been started anew."""
GUILDS_SECONDS = 0.5
"""Seconds after which no further server is waited for once the bot is connected; one that comes later is looked at then."""
PAGE = 100
"""Messages that Discord hands over at a time."""
MOST_BEHIND = 10_000
_API = ("https://discord.com/api/v10", "wss://gateway.discord.gg/")


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that is for the bot. answer: tells whoever used a slash command that it was taken, or why not."""

    channel: int
    number: int
    inbound: Inbound
    interaction: discord.Interaction[Any] | None = None


@dataclass(slots=True)
class Gap:
    """A channel that is behind: fetched up to message `after`, and known to have one numbered `newest`."""

    after: int
    newest: int


def point(settings: Mapping[str, Any]) -> None:
    """Let discord.py speak to the servers of an account's settings. Raises AdapterError where it speaks to others already."""
    wanted = (settings["base_url"] or _API[0], settings["gateway_url"] or _API[1])
    found = (Route.BASE, str(DiscordWebSocket.DEFAULT_GATEWAY))
    if found not in (wanted, _API):
        raise AdapterError("All Discord accounts of a gateway have one base_url and one gateway_url.", failed=True)
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY = wanted[0], yarl.URL(wanted[1])


class DiscordClient(discord.Client):
    """One bot. marks: by channel, the last message that the gateway has; read here, written in trio. news: told of changes."""

    def __init__(
        self, account: ChatAccount, mailbox: Mailbox[Taken], marks: Mapping[int, int], news: Callable[[str], None]
    ) -> None:
        intents = discord.Intents.none()
        intents.guilds = intents.guild_messages = intents.dm_messages = intents.message_content = True
        super().__init__(
            intents=intents,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            guild_ready_timeout=GUILDS_SECONDS,
            max_ratelimit_timeout=30.0,
            proxy=account.settings["proxy_url"] or None,
            allowed_mentions=discord.AllowedMentions(everyone=False, roles=False, users=True, replied_user=True),
        )
        self.behind: dict[int, Gap] = {}
        self.malformed = 0
        self._account = account
        self._mailbox = mailbox
        self._marks = marks
        self._news = news
        self._horizon = _horizon()
        self._learning, self._away = True, True
        self._log = structlog.get_logger().bind(platform="discord", account=account.account_id)
        self._shield()

    def _shield(self) -> None:
        """Let one malformed event spoil no other: what discord.py raises at one would end the whole connection."""
        parsers = self._connection.parsers
        for name, parse in list(parsers.items()):

            def shielded(data: Any, name: str = name, parse: Callable[[Any], Any] = parse) -> None:
                try:
                    if name != "MESSAGE_CREATE" or self._is_known(data):
                        parse(data)
                except Exception as error:  # noqa: BLE001  # whatever a malformed event leads to
                    self._note_malformed(name, error)

            parsers[name] = shielded

    def _is_known(self, data: Any) -> bool:
        """Say whether a message's server is known: discord.py takes it for a direct message where it is not."""
        guild = data.get("guild_id")
        if guild is None or self.get_guild(int(guild)) is not None:
            return True
        self._fall_behind(int(data["channel_id"]), int(data["id"]))
        return False

    def _note_malformed(self, event: str, error: Exception) -> None:
        self.malformed += 1
        self._log.warning("malformed_event", kind=event, error=type(error).__name__)

    @property
    def reader(self) -> Reader:
        """What reads this bot's messages."""
        assert self.user is not None
        return Reader(self._account, self.user.id)

    # Events; discord.py calls each in a task of its own, in order

    async def on_connect(self) -> None:
        """Begin a new session: what there is is not known yet."""
        self._learning = True

    async def on_ready(self) -> None:
        """Fetch whatever was written in the meantime, now that all is known."""
        for guild in self.guilds:
            self._look_at(guild)
        for channel, mark in list(self._marks.items()):
            if self.get_channel(channel) is None:  # a direct message's, which Discord does not tell of
                self._fall_behind(channel, mark)
        self._learning = self._away = False
        self._mailbox.poke()
        self._news("connected")

    async def on_resumed(self) -> None:
        """Note that Discord has brought again what was missed."""
        self._away = False
        self._news("connected")

    async def on_disconnect(self) -> None:
        """Note that the connection is gone; discord.py tries to get it back."""
        self._horizon = self._horizon if self._away else _horizon()
        self._away = True
        self._news("backing_off")

    async def on_guild_available(self, guild: discord.Guild) -> None:
        """Look at a server that comes late."""
        self._look_at(guild)

    async def on_message(self, message: discord.Message) -> None:
        """Hand over a message that is for the bot, or note that its channel is behind."""
        channel = message.channel.id
        if self._learning or channel in self.behind or isinstance(message.channel, discord.PartialMessageable):
            self._fall_behind(channel, message.id)
            return
        taken = self._taken(message)
        if taken is not None and not self._mailbox.put(taken):
            self._fall_behind(channel, message.id, before=message.id)

    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Hand over a slash command. One that finds no room is told so: Discord keeps none."""
        try:
            inbound = self.reader.command(interaction)
        except Exception as error:  # noqa: BLE001
            self._note_malformed("INTERACTION_CREATE", error)
            return
        if inbound is not None and not self._mailbox.put(Taken(0, interaction.id, inbound, interaction)):
            await respond(interaction, "There is too much to do just now: try this again in a moment.", True)

    async def on_error(self, event_method: str, /, *_: Any, **__: Any) -> None:
        """Note what an event led to."""
        self._log.exception("event_failed", event_name=event_method)

    # What was missed

    def _fall_behind(self, channel: int, newest: int, *, before: int | None = None) -> None:
        """Note that a channel has messages to fetch. before: the first of them, where all earlier ones were handed over."""
        gap = self.behind.get(channel)
        if gap is not None:
            gap.newest = max(gap.newest, newest)
        elif len(self.behind) < MOST_BEHIND:
            after = self._marks.get(channel, self._horizon) if before is None else before - 1
            self.behind[channel] = Gap(after, newest)
        if not self._learning:
            self._mailbox.poke()

    def _look_at(self, guild: discord.Guild) -> None:
        """Note which channels and threads of a server have messages that the gateway has not."""
        places: list[discord.TextChannel | discord.Thread | discord.VoiceChannel | discord.StageChannel] = [
            *guild.text_channels
        ]
        places += [*guild.threads, *guild.voice_channels, *guild.stage_channels]
        for place in places:
            newest = place.last_message_id or 0
            if newest > self._marks.get(place.id, self._horizon):
                self._fall_behind(place.id, newest)

    async def missed(self, channel: int) -> tuple[list[Taken], int, bool]:
        """Return the next messages of a channel that is behind, how far that goes, and whether it is all.

        Then the channel is not behind any more; what comes from now on comes by itself. Raises what discord.py raises.
        """
        gap = self.behind[channel]
        known, after = gap.newest, gap.after
        where: Any = self.get_channel(channel) or await self.fetch_channel(channel)
        found: list[Taken] = []
        roles: dict[int, tuple[str, ...]] = {}
        count = 0
        async for message in where.history(limit=PAGE, after=discord.Object(after), oldest_first=True):
            count += 1
            gap.after = max(gap.after, message.id)
            taken = self._taken(message)
            if taken is not None:
                found.append(replace(taken, inbound=replace(taken.inbound, roles=await self._roles(message, roles))))
        whole = count < PAGE and gap.newest == known
        if whole:
            del self.behind[channel]
        return found, gap.after, whole

    async def _roles(self, message: discord.Message, known: dict[int, tuple[str, ...]]) -> tuple[str, ...]:
        """Return the roles of a message's author, which Discord does not tell with a message that is fetched."""
        author = message.author.id
        if message.guild is None:
            return ()
        if author not in known:
            try:
                known[author] = roles_of(await message.guild.fetch_member(author))
            except discord.NotFound:  # who has left has none
                known[author] = ()
        return known[author]

    def _taken(self, message: discord.Message) -> Taken | None:
        """Return a message that is for the bot, None for any other."""
        try:
            inbound = self.reader.inbound(message)
        except Exception as error:  # noqa: BLE001  # whatever a malformed message leads to
            self._note_malformed("MESSAGE_CREATE", error)
            return None
        return None if inbound is None else Taken(message.channel.id, message.id, inbound)

    async def say(self, channel: int, sentence: str) -> None:
        """Say something that is in no ledger."""
        await self.get_partial_messageable(channel).send(sentence)

    async def register(self, commands: list[tuple[str, str]]) -> None:
        """Tell Discord which slash commands there are; each takes what follows its name as one text."""
        option = {"type": 3, "name": "args", "description": "What follows the command's name", "required": False}
        payload: list[Any] = [
            {"type": 1, "name": name, "description": (about or name)[:100], "options": [option]}
            for name, about in commands[:100]
        ]
        assert self.application_id is not None
        await self.http.bulk_upsert_global_commands(self.application_id, payload)


async def respond(interaction: discord.Interaction[Any], text: str, alone: bool) -> None:
    """Answer the use of a slash command, for its user alone or for everybody."""
    await interaction.response.send_message(text, ephemeral=alone)


def _horizon() -> int:
    """Return the number that a message of so many seconds ago would have."""
    return discord.utils.time_snowflake(discord.utils.utcnow()) - (CATCH_UP_SECONDS * 1000 << 22)
