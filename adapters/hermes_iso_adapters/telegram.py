"""The Telegram adapter: one bot, by long polling or by Telegram's own calls, natively on trio.

An update is confirmed to Telegram only after the gateway has it on disk; what is not confirmed comes again, and is the same
message then. What goes wrong with the connection is raised: the gateway starts this again, later each time.
"""

from __future__ import annotations

import hmac
import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import structlog
import trio
from telegram import BotCommand
from telegram.error import TelegramError

from hermes_iso.adapter import Answering, Call, CallAnswer, ChatAccount, DeliveryNotes, Doorway, Intake
from hermes_iso.errors import AdapterError, DrainingError, InboxFullError
from hermes_iso.messages import Attachment, ChatRef, Inbound
from hermes_iso_adapters.telegram_answer import Target, answering
from hermes_iso_adapters.telegram_client import UPDATES, TelegramClient
from hermes_iso_adapters.telegram_updates import Reader, with_albums

PLATFORM = "telegram"
_REMEMBERED = 2_000
"""Messages whose text is remembered, to tell an edit by its author from one that only adds a preview."""
_REFUSAL_SECONDS = 60.0
"""Seconds between two sentences to one chat that its message was not taken."""
_TRIES = 3
"""Times that an update is handed over which the gateway can't take, before it is left out."""
_SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105  # its name


class TelegramAdapter:
    """One bot."""

    name = PLATFORM

    def __init__(self, account: ChatAccount) -> None:
        self.account = account
        self._client = TelegramClient(account)
        self._intake: Intake | None = None
        self._reader: Reader | None = None
        self._state = "connecting"
        self._last_error = ""
        self._username = ""
        self._counts = {"updates": 0, "accepted": 0, "malformed": 0, "refused": 0}
        self._seen: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._told: OrderedDict[ChatRef, float] = OrderedDict()
        self._failed: tuple[int, int] = (0, 0)
        self._taking = trio.Lock()
        self._log = structlog.get_logger().bind(platform=PLATFORM, account=account.account_id)

    async def serve_adapter(self, intake: Intake, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take updates for ever. Raises AdapterError: why, and when to try again; DrainingError."""
        self._state, self._intake = "connecting", intake
        try:
            await self._connect()
            self._state = "connected"
            task_status.started()
            if self.doorway is None:
                await self._poll()
            await trio.sleep_forever()
        except AdapterError as error:
            self._state, self._last_error = ("failed" if error.failed else "backing_off"), str(error)
            raise
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 2):
                await self._client.aclose()

    async def _connect(self) -> None:
        """Find out who the bot is, and have Telegram hand over updates in the way that is configured."""
        bot, doorway = self._client.bot, self.doorway
        try:
            me = await self._client.ask(bot.get_me)
            self._reader, self._username = Reader.of(self.account, me), me.username or ""
            if doorway is None:
                await self._client.ask(bot.delete_webhook)
            else:
                secret = self.account.settings["webhook_secret"]
                await self._client.ask(
                    lambda: bot.set_webhook(self._webhook_url, secret_token=secret, allowed_updates=list(UPDATES))
                )
            if commands := self.account.settings.get("commands"):
                await self._client.ask(lambda: bot.set_my_commands([BotCommand(*each) for each in commands]))
        except TelegramError as error:
            raise self._client.adapter_error(error) from None
        except (TypeError, KeyError, ValueError) as error:
            raise AdapterError(f"Telegram answers with something else than a bot ({type(error).__name__}).") from None

    async def _poll(self) -> None:
        """Ask for updates for ever; those before `offset` are confirmed by asking for the next ones."""
        offset: int | None = None
        while True:
            raws = await self._client.updates(offset)
            self._state = "connected"
            await self._take(raws)
            ids = [raw["update_id"] for raw in raws if isinstance(raw, dict) and isinstance(raw.get("update_id"), int)]
            if raws and not ids:
                raise AdapterError("Telegram hands over updates without a number.")
            offset = max((*ids, (offset or 1) - 1)) + 1 if ids else offset

    async def _take(self, raws: Sequence[Any]) -> None:
        """Hand over updates, in order. When this returns, each is on disk or will never be taken."""
        async with self._taking:
            found = []
            for raw in sorted(raws, key=_number):
                self._counts["updates"] += 1
                inbound = self._inbound(raw)
                if inbound is not None:
                    found.append((raw, inbound))
            for inbound in with_albums(found):
                await self._hand_over(inbound)
            for raw, _ in found:
                if "callback_query" in raw:
                    await self._release(raw["callback_query"]["id"])

    async def _release(self, query: str) -> None:
        """Let a button that was pressed look as if it was: until then its sender sees it wait."""
        with suppress(TelegramError):
            await self._client.ask(lambda: self._client.bot.answer_callback_query(query))

    def _inbound(self, raw: Any) -> Inbound | None:
        """Return what an update asks; None for one that asks nothing, is malformed, or is an edit that changed nothing."""
        assert self._reader is not None
        try:
            inbound = self._reader.inbound(raw, self._client.bot)
        except ValueError as error:
            self._counts["malformed"] += 1
            self._log.warning("malformed_update", update=_number(raw), error=str(error))
            return None
        edited = isinstance(raw, dict) and ("edited_message" in raw or "edited_channel_post" in raw)
        return None if inbound is None or not self._is_news(inbound, edited=edited) else inbound

    def _is_news(self, inbound: Inbound, *, edited: bool) -> bool:
        """Say whether a message is one, or an edit by which its author wrote something else."""
        key = (hash(inbound.chat), int(inbound.platform_id.rpartition(":")[2]))
        before, text = self._seen.get(key), hash((inbound.text, inbound.attachments))
        self._seen[key] = text
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return not edited or (before is not None and before != text)

    async def _hand_over(self, inbound: Inbound) -> None:
        """Have the gateway take a message for good; one for which there is no room is refused in a sentence.

        Raises what the gateway raises, so that the update comes again; after a few times it is left out.
        """
        assert self._intake is not None
        number = int(inbound.platform_id.partition(":")[0])
        try:
            await self._intake.accept(inbound)
            self._counts["accepted"] += 1
        except InboxFullError as error:
            self._counts["refused"] += 1
            self._log.warning("message_refused", update=number, reason=str(error))
            await self._tell(inbound, str(error))
        except DrainingError:
            raise
        except Exception:
            before, tries = self._failed
            self._failed = (number, tries + 1 if before == number else 1)
            if self._failed[1] < _TRIES:
                raise
            self._counts["refused"] += 1
            self._log.exception("update_left_out", update=number)

    async def _tell(self, inbound: Inbound, sentence: str) -> None:
        """Say to a chat that its message was not taken, but not for each of many."""
        now = time.monotonic()
        if now - self._told.get(inbound.chat, -_REFUSAL_SECONDS) < _REFUSAL_SECONDS:
            return
        self._told[inbound.chat] = now
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        target = self._target(inbound.chat, inbound.platform_id)
        try:
            await self._client.ask(
                lambda: self._client.bot.send_message(
                    inbound.chat.chat_id, sentence, message_thread_id=target.thread, reply_parameters=target.reply(0)
                )
            )
        except TelegramError as error:
            self._log.warning("refusal_not_delivered", error=self._client.clean(error))

    def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AbstractAsyncContextManager[Answering]:
        """Open an answer to a chat."""
        return self._answering(self._target(chat, reply_to), notes)

    @asynccontextmanager
    async def _answering(self, target: Target, notes: DeliveryNotes) -> AsyncIterator[Answering]:
        async with answering(self._client, target, notes) as answer:
            yield answer

    def _target(self, chat: ChatRef, reply_to: str | None) -> Target:
        """Return where an answer goes."""
        message = (reply_to or "").rpartition(":")[2]
        settings = self.account.settings
        return Target(
            chat,
            int(message) if message.isascii() and message.isdecimal() else None,
            replies=settings["reply_to_mode"],
            previews=not settings["disable_link_previews"],
        )

    async def fetch(self, attachment: Attachment, *, limit: int) -> bytes:
        """Return a file that came with a message. Raises AttachmentError."""
        return await self._client.download(attachment.reference, limit)

    @property
    def doorway(self) -> Doorway | None:
        """Where Telegram calls, when it is told to."""
        url = self._webhook_url
        if not url:
            return None
        settings = self.account.settings
        return Doorway(settings["webhook_host"], settings["webhook_port"], urlsplit(url).path or "/")

    @property
    def _webhook_url(self) -> str:
        """The URL that Telegram calls; each further bot has its account's name at the end."""
        url, account = str(self.account.settings["webhook_url"]), self.account.account_id
        return f"{url}/{account}" if url and account != "default" and not url.endswith(f"/{account}") else url

    async def receive(self, call: Call) -> CallAnswer:
        """Take an update that Telegram brings; anybody else knows no secret and learns nothing."""
        given = call.headers.get(_SECRET_HEADER, "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, str(self.account.settings["webhook_secret"]).encode()):
            return CallAnswer(401)
        if call.method != "POST" or call.path:
            return CallAnswer(404)
        if self._reader is None:
            return CallAnswer(503, headers={"retry-after": "5"})
        try:
            raw = json.loads(call.body)
        except (ValueError, RecursionError):
            self._counts["malformed"] += 1
            return CallAnswer(400)
        await self._take([raw])
        return CallAnswer()

    def status(self) -> Mapping[str, Any]:
        """Return what is told of the bot; nothing in it is secret."""
        state = "limited" if self._state == "connected" and self._client.limited_for else self._state
        return {
            "state": state,
            "bot": self._username,
            "mode": "polling" if self.doorway is None else "webhook",
            "last_error": self._last_error,
            **self._counts,
        }


def _number(raw: Any) -> int:
    """Return the number of an update, 0 where it has none."""
    number = raw.get("update_id") if isinstance(raw, dict) else None
    return number if isinstance(number, int) else 0
