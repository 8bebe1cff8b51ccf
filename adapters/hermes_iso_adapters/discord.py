"""The Discord adapter: one bot, through discord.py in asyncio's thread.

Discord does not bring again what a bot missed unless its session goes on. So this knows, by channel, the last message that
the gateway has on disk; a new session begins with whatever was written since. What goes wrong with the connection for
longer than discord.py takes to get it back is raised: the gateway starts this again, later each time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import discord
import httpx
import structlog
import trio

from hermes_iso.adapter import Answering, Call, CallAnswer, ChatAccount, DeliveryNotes, Doorway, Intake
from hermes_iso.errors import AdapterError, AttachmentError, DeliveryError, DrainingError, InboxFullError
from hermes_iso.messages import Attachment, ChatRef
from hermes_iso_adapters.aio_thread import AioThread, Mailbox, open_aio_thread
from hermes_iso_adapters.discord_answer import Target, answering
from hermes_iso_adapters.discord_client import DiscordClient, Taken, point, respond

QUEUE = 500
"""Messages on their way from discord.py; what is more is fetched once there is room."""
AWAY_SECONDS = 90.0
"""Seconds that discord.py may take to connect, at first or again."""
FAILED_AFTER = 300.0
"""Seconds until a token is tried again that Discord does not know."""
MARKS = 1_000
"""Channels of which the last message is remembered."""
_REFUSAL_SECONDS = 60.0
_TRIES = 3
"""Times that a message is handed over which the gateway can't take, before it is left out."""
_HOSTS = ("cdn.discordapp.com", "media.discordapp.net")
logging.getLogger("discord").setLevel(logging.CRITICAL)  # what matters of it is logged here, in one line each


class DiscordAdapter:
    """One bot."""

    name = "discord"

    def __init__(self, account: ChatAccount) -> None:
        self.account = account
        self._aio: AioThread | None = None
        self._client: DiscordClient | None = None
        self._intake: Intake | None = None
        self._marks: dict[int, int] = {}
        self._state, self._last_error = "connecting", ""
        self._changed = trio.Event()
        self._counts = {"accepted": 0, "refused": 0, "caught_up": 0, "malformed": 0}
        self._told: dict[int, float] = {}
        self._used = trio.open_memory_channel[Taken](QUEUE)
        self._failed: tuple[int, int] = (0, 0)
        self._registered = False
        self._log = structlog.get_logger().bind(platform="discord", account=account.account_id)

    async def serve_adapter(self, intake: Intake, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take messages for ever. Raises AdapterError: why, and when to try again; DrainingError."""
        self._state, self._intake = "connecting", intake
        try:
            point(self.account.settings)
            async with open_aio_thread() as aio:
                mailbox: Mailbox[Taken] = aio.mailbox(QUEUE)
                token = trio.lowlevel.current_trio_token()
                client = DiscordClient(
                    self.account, mailbox, self._marks, lambda state: token.run_sync_soon(self._turn_to, state)
                )
                self._aio, self._client = aio, client
                await _first_failure(
                    lambda: self._connect(aio, client),
                    lambda: self._watch(task_status),
                    lambda: self._pump(aio, client, mailbox),
                    lambda: self._confirm(aio),
                )
        except AdapterError as error:
            self._state, self._last_error = ("failed" if error.failed else "backing_off"), str(error)
            raise
        finally:
            self._aio = self._client = None

    async def _connect(self, aio: AioThread, client: DiscordClient) -> None:
        """Be connected for ever. discord.py gets a lost connection back by itself, in most cases. Raises AdapterError."""
        try:
            await aio.call(client.start, self.account.token)
        except Exception as error:  # noqa: BLE001  # discord.py raises whatever a malformed event leads to
            raise _adapter_error(error) from None
        finally:
            self._counts["malformed"] += client.malformed
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 5):
                await aio.call(client.close)
        raise AdapterError("Discord has closed the connection.")

    def _turn_to(self, state: str) -> None:
        """Note that the connection is there, or lost."""
        self._state = state
        self._changed.set()

    async def _watch(self, task_status: trio.TaskStatus[None]) -> None:
        """Wait for changes of the connection. Raises AdapterError when it stays away for too long."""
        started = False
        while True:
            with trio.move_on_after(AWAY_SECONDS if self._state != "connected" else float("inf")) as waiting:
                await self._changed.wait()
            if waiting.cancelled_caught:
                raise AdapterError(f"Discord could not be reached for {AWAY_SECONDS:.0f} s.")
            self._changed = trio.Event()
            if self._state == "connected" and not started:
                started = True
                task_status.started()
                await self._register()

    async def _register(self) -> None:
        """Tell Discord which slash commands there are, once in a gateway's life."""
        commands = list(self.account.settings.get("commands", ()))
        if self._registered or not commands or not self.account.settings["slash_commands"]:
            return
        assert self._aio is not None
        assert self._client is not None
        try:
            await self._aio.call(self._client.register, commands)
            self._registered = True
        except Exception as error:  # noqa: BLE001  # who talks to the bot can do without
            self._log.warning("commands_not_registered", error=type(error).__name__)

    async def _pump(self, aio: AioThread, client: DiscordClient, mailbox: Mailbox[Taken]) -> None:
        """Hand over what comes, and fetch what could not come."""
        while True:
            taken = await mailbox.take()
            if taken is not None:
                await self._hand_over(taken)
            elif client.behind:
                await self._catch_up(aio, client)
                mailbox.poke()

    async def _catch_up(self, aio: AioThread, client: DiscordClient) -> None:
        """Fetch what was missed in one of the channels that are behind, a page of it. Raises AdapterError."""
        channel = next(iter(client.behind))
        try:
            found, after, whole = await aio.call(client.missed, channel)
        except (discord.Forbidden, discord.NotFound, discord.InvalidData):
            client.behind.pop(channel, None)  # the bot may not read it any more, or it is gone
            return
        except Exception as error:  # noqa: BLE001
            raise _adapter_error(error) from None
        for taken in found:
            await self._hand_over(taken)
            self._counts["caught_up"] += 1
        self._mark(channel, after)
        if whole:
            self._log.debug("channel_caught_up", channel=channel)

    async def _hand_over(self, taken: Taken) -> None:
        """Have the gateway take a message for good; one for which there is no room is refused in a sentence.

        Raises what the gateway raises: after the restart it is fetched again; after a few times it is left out.
        """
        assert self._intake is not None
        try:
            await self._intake.accept(taken.inbound)
            self._counts["accepted"] += 1
            if taken.interaction is not None:
                with suppress(trio.WouldBlock):  # what is not confirmed has been taken all the same
                    self._used[0].send_nowait(taken)
        except InboxFullError as error:
            self._counts["refused"] += 1
            self._log.warning("message_refused", message=taken.number, reason=str(error))
            await self._tell(taken, str(error))
        except DrainingError:
            raise
        except Exception:
            before, tries = self._failed
            self._failed = (taken.number, tries + 1 if before == taken.number else 1)
            if self._failed[1] < _TRIES and taken.interaction is None:
                raise
            self._counts["refused"] += 1
            self._log.exception("message_left_out", message=taken.number)
        if taken.interaction is None:
            self._mark(taken.channel, taken.number)

    def _mark(self, channel: int, number: int) -> None:
        """Remember how far the gateway has a channel."""
        self._marks[channel] = max(number, self._marks.pop(channel, 0))
        if len(self._marks) > MARKS:
            del self._marks[next(iter(self._marks))]

    async def _tell(self, taken: Taken, sentence: str) -> None:
        """Say to a channel that its message was not taken, but not for each of many."""
        now = trio.current_time()
        if (
            self._client is None
            or self._aio is None
            or now - self._told.get(taken.channel, -_REFUSAL_SECONDS) < _REFUSAL_SECONDS
        ):
            return
        self._told[taken.channel] = now
        if len(self._told) > MARKS:
            del self._told[next(iter(self._told))]
        try:
            if taken.interaction is None:
                await self._aio.call(self._client.say, taken.channel, sentence)
            else:
                await self._aio.call(respond, taken.interaction, sentence, True)
        except Exception as error:  # noqa: BLE001
            self._log.warning("refusal_not_delivered", error=type(error).__name__)

    async def _confirm(self, aio: AioThread) -> None:
        """Show chats which commands were used; Discord takes one for failed after three seconds without that."""
        async for taken in self._used[1]:
            text = taken.inbound.text[:1900].replace("`", "'")
            try:
                await aio.call(respond, taken.interaction, f"`{text}`", False)
            except Exception as error:  # noqa: BLE001  # its answer comes all the same
                self._log.debug("command_not_confirmed", error=type(error).__name__)

    def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AbstractAsyncContextManager[Answering]:
        """Open an answer to a chat."""
        return self._answering(chat, reply_to or "", notes)

    @asynccontextmanager
    async def _answering(self, chat: ChatRef, reply_to: str, notes: DeliveryNotes) -> AsyncIterator[Answering]:
        if self._aio is None or self._client is None or self._state == "connecting":
            raise DeliveryError(f"Account {self.account.account_id!r} of discord is not connected now.", again=True, after=2.0)
        if not (chat.chat_id.isascii() and chat.chat_id.isdecimal()):
            raise DeliveryError(f"{chat.chat_id[:80]!r} is no channel of Discord's.")
        number = int(reply_to) if reply_to.isascii() and reply_to.isdecimal() else None
        target = Target(chat, number, replies=self.account.settings["reply_to_mode"])
        async with answering(self._aio, self._client, target, notes) as answer:
            yield answer

    async def fetch(self, attachment: Attachment, *, limit: int) -> bytes:
        """Return a file that came with a message. Raises AttachmentError."""
        own = urlsplit(self.account.settings["base_url"]).netloc
        parts = urlsplit(attachment.reference)
        if not (parts.scheme == "https" and parts.hostname in _HOSTS) and not (own and parts.netloc == own):
            raise AttachmentError("it does not lie on Discord's servers")
        proxy = self.account.settings["proxy_url"] or None
        content = bytearray()
        try:
            async with (
                httpx.AsyncClient(trust_env=False, timeout=15.0, proxy=proxy) as client,
                client.stream("GET", attachment.reference) as response,
            ):
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > limit:
                        await response.aclose()  # the next read ends httpx's chain of generators
        except httpx.StreamError:
            raise AttachmentError(f"it is larger than the {limit >> 20} MiB that are taken") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AttachmentError(f"it could not be fetched from Discord ({type(error).__name__})") from None
        if len(content) > limit:
            raise AttachmentError(f"it is larger than the {limit >> 20} MiB that are taken")
        if response.status_code != 200:
            raise AttachmentError("it is not on Discord's servers any more")
        return bytes(content)

    @property
    def doorway(self) -> Doorway | None:
        """None: Discord does not call."""
        return None

    async def receive(self, call: Call) -> CallAnswer:  # noqa: ARG002  # the form of ChatAdapter
        """Take nothing."""
        return CallAnswer(404)

    def status(self) -> Mapping[str, Any]:
        """Return what is told of the bot; nothing in it is secret."""
        client = self._client
        user = client.user if client is not None else None
        return {
            "state": self._state,
            "bot": user.name if user is not None else "",
            "last_error": self._last_error,
            **self._counts,
            "malformed": self._counts["malformed"] + (client.malformed if client is not None else 0),
            "behind": len(client.behind) if client is not None else 0,
        }


async def _first_failure(*works: Callable[[], Awaitable[None]]) -> None:
    """Run side by side until one of them raises; that is raised, as it is and not in a group."""
    failures: list[Exception] = []

    async def run(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # passed on below
            failures.append(error)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for work in works:
            nursery.start_soon(run, work)
    if failures:
        raise failures[0]


def _adapter_error(error: Exception) -> AdapterError:
    """Return why the bot can't be served now, in words that hold no secret."""
    if isinstance(error, discord.LoginFailure):
        text = "Discord does not know this bot's token (401): make a new one in the developer portal, and reload."
        return AdapterError(text, after=FAILED_AFTER, failed=True)
    if isinstance(error, discord.PrivilegedIntentsRequired):
        text = "Discord does not let this bot read messages: turn on the Message Content Intent in the developer portal."
        return AdapterError(text, after=FAILED_AFTER, failed=True)
    if isinstance(error, discord.ConnectionClosed):
        return AdapterError(f"Discord has closed the connection ({error.code}).", failed=error.code == 4004)
    if isinstance(error, discord.HTTPException):
        return AdapterError(f"Discord does not serve this bot now ({error.status}).", after=5.0 if error.status == 429 else 0.0)
    return AdapterError(f"Discord can't be reached ({type(error).__name__}).")
