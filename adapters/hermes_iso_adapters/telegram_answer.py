"""TelegramAnswer: one answer on its way to its chat: shown while it grows, by edits, and complete at its end.

Everything that is sent is noted on disk before anything is done with it, and what was noted in an earlier life is edited
instead of sent again: an edit can be repeated, a message can't be taken back. While the turn runs, edits come at the pace that
Telegram bears; what they miss, the last one brings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import trio
from telegram import InputFile, LinkPreviewOptions, Message, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, TelegramError

from hermes_iso.adapter import DeliveryNotes, OutboundFile
from hermes_iso.errors import DeliveryError
from hermes_iso.messages import ChatRef, Outbound, Progress
from hermes_iso_adapters.telegram_client import LimitedError, TelegramClient
from hermes_iso_adapters.telegram_text import Piece, pieces_of
from hermes_iso_adapters.telegram_updates import GENERAL_TOPIC

EDIT_SECONDS = {"dm": 1.0, "group": 3.0, "channel": 3.0}
"""Seconds between two edits of an answer that grows: Telegram bears twenty messages a minute in a group."""
TYPING_SECONDS = 4.5
"""Seconds after which a chat stops to show that the bot types."""
MESSAGES = 10
"""Messages of an answer; a longer one comes as a file, after its beginning."""
ANSWER_CHARS = MESSAGES * 4000
QUESTION_CHARS = 2000
"""Characters of a question in one message; each may count twice for Telegram."""
PHOTO_BYTES = 10 << 20
_PHOTOS = ("image/png", "image/jpeg", "image/webp")
_FILE = "file:"
_NOT_THERE = ("message to edit not found", "message can't be edited", "message_id_invalid")


@dataclass(frozen=True, slots=True)
class Target:
    """Where answers go, and how: `reply_to` is the message that is answered, replies how often that is shown."""

    chat: ChatRef
    reply_to: int | None
    replies: str = "first"
    previews: bool = True

    @property
    def thread(self) -> int | None:
        """The topic; what goes to the general one must not name it."""
        thread = self.chat.thread_id
        return int(thread) if thread and thread != GENERAL_TOPIC and thread.isascii() and thread.isdecimal() else None

    def reply(self, number: int) -> ReplyParameters | None:
        """Return what shows that message `number` of an answer answers another one."""
        if self.reply_to is None or self.replies == "off" or (number and self.replies == "first"):
            return None
        return ReplyParameters(self.reply_to, allow_sending_without_reply=True)


@dataclass(slots=True)
class _Shown:
    """A message of the answer that is in the chat. `piece` is what it says, None when an earlier life wrote it."""

    message_id: int
    piece: Piece | None = None


@dataclass(slots=True)
class TelegramAnswer:
    """One answer; see `answering`."""

    client: TelegramClient
    target: Target
    notes: DeliveryNotes
    chat_id: int | str
    _text: str = ""
    _grown: trio.Event = field(default_factory=trio.Event)
    _lock: trio.Lock = field(default_factory=trio.Lock)
    _finishing: bool = False
    _shown: list[_Shown] = field(default_factory=list)

    async def show(self, progress: Progress) -> None:
        """Take text of the running turn, which is brought to the chat beside this; a question is brought at once."""
        if progress.kind == "text":
            self._text += progress.text[: max(0, ANSWER_CHARS - len(self._text))]
            self._grown.set()
        elif progress.kind == "question":
            await self._ask(progress.text)

    async def _ask(self, question: str) -> None:
        """Bring a question below what was said so far, as it is and without styles; what is said after it comes below it.

        Raises DeliveryError.
        """
        async with self._lock:
            try:
                await self._bring(pieces_of(self._text), patience=30.0)
                for start in range(0, len(question), QUESTION_CHARS):
                    piece = question[start : start + QUESTION_CHARS]
                    await self._with_new_chat(partial(self._say, piece), 30.0)
            except TelegramError as error:
                raise self.client.delivery_error(error) from None
            self._text, self._shown = "", []

    async def _say(self, text: str) -> None:
        """Send a text that is no part of the answer."""
        await self.client.bot.send_message(
            self.chat_id, text, message_thread_id=self.target.thread, link_preview_options=self._previews
        )

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:
        """Bring the whole answer and its files; return the id of its last message. Raises DeliveryError."""
        self._finishing = True
        if len(outbound.text) > ANSWER_CHARS:
            beginning = pieces_of(outbound.text[:ANSWER_CHARS])[:1]
            whole = OutboundFile("answer.md", "text/markdown", outbound.text.encode("utf-8", "replace"))
            pieces, files = beginning, (whole, *files)
        else:
            pieces = pieces_of(outbound.text)
        if not pieces and not files:
            pieces = [Piece("(The answer is empty.)")]
        async with self._lock:
            try:
                await self._bring(pieces, patience=30.0)
                for shown in self._shown[max(1, len(pieces)) :]:
                    await self._remove(shown.message_id)
                return await self._send_files(files)
            except TelegramError as error:
                raise self.client.delivery_error(error) from None
            except (TypeError, KeyError, ValueError, AttributeError) as error:  # the library, of what it could not read
                raise DeliveryError(f"Telegram's answer could not be read ({type(error).__name__}).") from error

    async def stream(self) -> None:
        """Bring what the turn has said so far, again and again. A request that fails is left to the end of the answer.

        So is all else from then on: a message that may have arrived must not be sent a third time.
        """
        while True:
            await self._grown.wait()
            self._grown = trio.Event()
            async with self._lock:
                if self._finishing:
                    return
                try:
                    await self._bring(pieces_of(self._text), patience=0.0)
                except LimitedError:
                    self._grown.set()
                except TelegramError:
                    return
            await trio.sleep(max(EDIT_SECONDS[self.target.chat.chat_type], self.client.limited_for))

    async def show_typing(self) -> None:
        """Show that the bot types, until cancelled."""
        while self.target.chat.chat_type != "channel":
            with suppress(TelegramError):
                await self.client.ask(self._type, patience=0.0, seconds=TYPING_SECONDS)
            await trio.sleep(TYPING_SECONDS)

    async def _type(self) -> bool:
        return await self.client.bot.send_chat_action(self.chat_id, "typing", message_thread_id=self.target.thread)

    def take_up(self, sent: Sequence[str]) -> None:
        """Go on with an answer of which an earlier life had brought these messages."""
        self._shown = [_Shown(int(each)) for each in sent if each.isascii() and each.isdecimal()]

    async def _bring(self, pieces: Sequence[Piece], *, patience: float) -> None:
        """Make the chat show these pieces: edit the messages that are there, send the others. Raises TelegramError."""
        for number, piece in enumerate(pieces):
            if number < len(self._shown):
                await self._edit(number, piece, patience)
            else:
                await self._send(number, piece, patience)

    async def _edit(self, number: int, piece: Piece, patience: float) -> None:
        """Make a message say something else. Where it is gone, another takes its place."""
        shown = self._shown[number]
        if shown.piece == piece:
            return
        try:
            await self.client.ask(lambda: self._edit_once(shown.message_id, piece), patience=patience)
        except BadRequest as error:
            reason = str(error).lower()
            if any(each in reason for each in _NOT_THERE):
                await self._send(number, piece, patience)
                return
            if "not modified" not in reason:
                raise
        shown.piece = piece

    async def _edit_once(self, message_id: int, piece: Piece) -> None:
        await self.client.bot.edit_message_text(
            piece.text,
            chat_id=self.chat_id,
            message_id=message_id,
            entities=piece.entities or None,
            link_preview_options=self._previews,
        )

    async def _send(self, number: int, piece: Piece, patience: float) -> None:
        """Send a piece as a message of its own, and note it."""

        async def send() -> None:
            message = await self.client.bot.send_message(
                self.chat_id,
                piece.text,
                entities=piece.entities or None,
                message_thread_id=self.target.thread,
                reply_parameters=self.target.reply(number),
                link_preview_options=self._previews,
            )
            self._shown[number:number] = [_Shown(message.message_id, piece)]
            del self._shown[number + 1 : number + 2]
            await self.notes.note(str(message.message_id))

        await self._with_new_chat(send, patience)

    async def _send_files(self, files: Sequence[OutboundFile]) -> str:
        """Send the files that were not sent in an earlier life; return the id of the answer's last message."""
        last = str(self._shown[-1].message_id) if self._shown else ""
        sent = [each for each in self.notes.sent if each.startswith(_FILE)]
        last = sent[-1].removeprefix(_FILE) if sent else last
        for file in files[len(sent) :]:

            async def send(file: OutboundFile = file) -> None:
                nonlocal last
                last = str((await self._send_file(file)).message_id)
                await self.notes.note(f"{_FILE}{last}")

            await self._with_new_chat(send, 30.0)
        return last

    async def _send_file(self, file: OutboundFile) -> Message:
        """Send one file, as a photo where Telegram takes it for one."""
        reply = self.target.reply(0) if not self._shown else None
        content = InputFile(file.content, filename=file.name, attach=True)
        if file.media_type in _PHOTOS and len(file.content) <= PHOTO_BYTES:
            try:
                return await self.client.bot.send_photo(
                    self.chat_id, content, message_thread_id=self.target.thread, reply_parameters=reply
                )
            except BadRequest:  # too large a picture, or none at all
                content = InputFile(file.content, filename=file.name, attach=True)
        return await self.client.bot.send_document(
            self.chat_id, content, message_thread_id=self.target.thread, reply_parameters=reply
        )

    async def _with_new_chat(self, send: Callable[[], Awaitable[None]], patience: float) -> None:
        """Send; a group that has become a supergroup has another id from then on."""
        try:
            await self.client.ask(send, patience=patience)
        except ChatMigrated as moved:
            self.chat_id = moved.new_chat_id
            await self.client.ask(send, patience=patience)

    async def _remove(self, message_id: int) -> None:
        """Remove a message that the finished answer does not need any more; one that stays does no harm."""
        with suppress(TelegramError):
            await self.client.ask(lambda: self.client.bot.delete_message(self.chat_id, message_id))

    @property
    def _previews(self) -> LinkPreviewOptions | None:
        return None if self.target.previews else LinkPreviewOptions(is_disabled=True)


@asynccontextmanager
async def answering(client: TelegramClient, target: Target, notes: DeliveryNotes) -> AsyncIterator[TelegramAnswer]:
    """Open an answer: the chat sees that the bot types, and what `show` is given, until the body ends."""
    spelled = target.chat.chat_id
    chat_id = int(spelled) if spelled.lstrip("-").isdecimal() and spelled.isascii() else spelled
    answer = TelegramAnswer(client, target, notes, chat_id)
    answer.take_up(notes.sent)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer.show_typing)
        nursery.start_soon(answer.stream)
        try:
            yield answer
        except Exception as error:  # noqa: BLE001  # passed on below, as it is and not in a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
