"""DiscordAnswer: one answer on its way to its channel: shown while it grows, by edits, and complete at its end.

Everything that is sent is noted on disk before anything is done with it, and what was noted in an earlier life is edited
instead of sent again. A message also carries a nonce made of what it answers and says: one that is sent again within minutes,
because nobody knows whether it arrived, is to Discord the message that is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import discord
import trio

from hermes_iso.adapter import DeliveryNotes, OutboundFile
from hermes_iso.errors import DeliveryError
from hermes_iso.messages import ChatRef, Outbound, Progress
from hermes_iso_adapters.aio_thread import AioError, AioThread
from hermes_iso_adapters.chat_text import clean
from hermes_iso_adapters.discord_text import pieces_of

EDIT_SECONDS = 1.2
"""Seconds between two edits of an answer that grows: Discord bears five in five seconds."""
TYPING_SECONDS = 8.0
"""Seconds after which Discord almost stops to show that the bot types."""
REQUEST_SECONDS = 45.0
"""Seconds that a request may take, pauses that Discord asks for among them."""
MESSAGES = 10
"""Messages of an answer; a longer one comes as a file, after its beginning."""
ANSWER_CHARS = MESSAGES * 1800
_FILE = "file:"
_ERRORS = (discord.DiscordException, aiohttp.ClientError, OSError, AioError, ValueError, LookupError, TypeError, AttributeError)
"""What discord.py raises; the last four where Discord answers with something else than it should."""
_UNKNOWN_MESSAGE, _THREAD_EXISTS = 10008, 160004
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Target:
    """Where answers go, and how: `reply_to` is the message that is answered, replies how often that is shown.

    begins: the channel of a message that is to begin a thread with this answer.
    """

    chat: ChatRef
    reply_to: int | None
    replies: str = "first"

    @property
    def channel(self) -> int:
        """The channel or thread."""
        return int(self.chat.chat_id)

    @property
    def begins(self) -> int | None:
        """The channel in which the answered message is to begin a thread: a thread has the id of the message it began with."""
        parent = self.chat.parent_chat_id
        own = self.reply_to is not None and self.chat.thread_id == str(self.reply_to)
        return int(parent) if own and parent else None


@dataclass(slots=True)
class _Shown:
    """A message of the answer that is in the channel. `text` is what it says, None when an earlier life wrote it."""

    message_id: int
    text: str | None = None


@dataclass(slots=True)
class DiscordAnswer:
    """One answer; see `answering`."""

    aio: AioThread
    client: discord.Client
    target: Target
    notes: DeliveryNotes
    channel: int
    _replies: bool = True
    _text: str = ""
    _grown: trio.Event = field(default_factory=trio.Event)
    _lock: trio.Lock = field(default_factory=trio.Lock)
    _finishing: bool = False
    _shown: list[_Shown] = field(default_factory=list)

    async def show(self, progress: Progress) -> None:
        """Take text of the running turn, which is brought to the channel beside this; a question is brought at once."""
        if progress.kind == "text":
            self._text += progress.text[: max(0, ANSWER_CHARS - len(self._text))]
            self._grown.set()
        elif progress.kind == "question":
            await self._put_question(progress.text)

    async def _put_question(self, question: str) -> None:
        """Bring a question below what was said so far; what is said after it comes below it. Raises DeliveryError."""
        async with self._lock:
            try:
                await self._bring(pieces_of(self._text))
                for number, piece in enumerate(pieces_of(question)):
                    await self._send_once(number, piece, "question")
            except _ERRORS as error:
                raise delivery_error(error) from None
            self._text, self._shown = "", []

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:
        """Bring the whole answer and its files; return the id of its last message. Raises DeliveryError."""
        self._finishing = True
        if len(outbound.text) > ANSWER_CHARS:
            whole = OutboundFile("answer.md", "text/markdown", outbound.text.encode("utf-8", "replace"))
            pieces, files = pieces_of(outbound.text[:ANSWER_CHARS])[:1], (whole, *files)
        else:
            pieces = pieces_of(outbound.text)
        if not pieces and not files:
            pieces = ["(The answer is empty.)"]
        async with self._lock:
            try:
                await self._bring(pieces)
                for shown in self._shown[max(1, len(pieces)) :]:
                    await self._remove(shown.message_id)
                return await self._send_files(files)
            except _ERRORS as error:
                raise delivery_error(error) from None

    async def stream(self) -> None:
        """Bring what the turn has said so far, again and again. A request that fails is left to the end of the answer."""
        while True:
            await self._grown.wait()
            self._grown = trio.Event()
            async with self._lock:
                if self._finishing:
                    return
                try:
                    await self._bring(pieces_of(self._text))
                except _ERRORS:
                    return
            await trio.sleep(EDIT_SECONDS)

    async def show_typing(self) -> None:
        """Show that the bot types, until cancelled."""
        while True:
            with suppress(*_ERRORS):
                await self._ask(self.client.http.send_typing, self.channel)
            await trio.sleep(TYPING_SECONDS)

    async def begin(self) -> None:
        """Find the channel: the thread that this answer begins, or else the channel of the message it answers."""
        parent = self.target.begins
        if parent is None:
            return
        self._replies = False
        try:
            await self._ask(_begin_thread, self.client, parent, self.target.channel)
        except _ERRORS as error:
            if isinstance(error, discord.HTTPException) and error.code == _THREAD_EXISTS:
                return
            if not isinstance(error, discord.Forbidden | discord.NotFound) and _status(error) != 400:
                raise delivery_error(error) from None
            self.channel, self._replies = parent, True

    def take_up(self, sent: Sequence[str]) -> None:
        """Go on with an answer of which an earlier life had brought these messages."""
        self._shown = [_Shown(int(each)) for each in sent if each.isascii() and each.isdecimal()]

    async def _bring(self, pieces: Sequence[str]) -> None:
        """Make the channel show these pieces: edit the messages that are there, send the others."""
        for number, text in enumerate(pieces):
            if number < len(self._shown):
                await self._edit(number, text)
            else:
                await self._send(number, text)

    async def _edit(self, number: int, text: str) -> None:
        """Make a message say something else. Where it is gone, another takes its place."""
        shown = self._shown[number]
        if shown.text == text:
            return
        message = self._messageable(self.channel).get_partial_message(shown.message_id)
        try:
            await self._ask(lambda: message.edit(content=text))
        except discord.NotFound as error:
            if error.code != _UNKNOWN_MESSAGE:
                raise
            await self._send(number, text)
            return
        shown.text = text

    async def _send(self, number: int, text: str) -> None:
        """Send a piece as a message of its own, and note it."""
        with trio.CancelScope(shield=True):  # what was sent has to be noted; a request takes REQUEST_SECONDS at most
            message = await self._send_once(number, text)
            self._shown[number : number + 1] = [_Shown(message.id, text)]
            await self.notes.note(str(message.id))

    async def _send_once(self, number: int, text: str, what: str = "", **more: Any) -> discord.Message:
        where = self._messageable(self.channel)
        nonce = _nonce(self.channel, self.target.reply_to, number, f"{what} {text}")
        reply = self._reply(number)
        return await self._ask(lambda: where.send(text or None, reference=reply, nonce=nonce, **more))

    def _reply(self, number: int) -> Any:
        """Return what shows that a message of an answer answers another one."""
        target = self.target
        if not self._replies or target.reply_to is None or target.replies == "off" or (number and target.replies == "first"):
            return None
        return discord.MessageReference(message_id=target.reply_to, channel_id=self.channel, fail_if_not_exists=False)

    async def _send_files(self, files: Sequence[OutboundFile]) -> str:
        """Send the files that were not sent in an earlier life; return the id of the answer's last message."""
        sent = [each for each in self.notes.sent if each.startswith(_FILE)]
        last = sent[-1].removeprefix(_FILE) if sent else str(self._shown[-1].message_id) if self._shown else ""
        for number, file in enumerate(files[len(sent) :], start=MESSAGES + len(sent)):
            with trio.CancelScope(shield=True):
                content = discord.File(io.BytesIO(file.content), filename=file.name)
                message = await self._send_once(number, "", file=content)
                last = str(message.id)
                await self.notes.note(f"{_FILE}{last}")
        return last

    async def _remove(self, message_id: int) -> None:
        """Remove a message that the finished answer does not need any more; one that stays does no harm."""
        message = self._messageable(self.channel).get_partial_message(message_id)
        with suppress(*_ERRORS):
            await self._ask(message.delete)

    def _messageable(self, channel: int) -> discord.PartialMessageable:
        return self.client.get_partial_messageable(channel)

    async def _ask(self, work: Callable[..., Awaitable[Result]], *args: Any) -> Result:
        """Do a request, over there; it takes REQUEST_SECONDS at most. Raises what discord.py raises."""
        return await self.aio.call(_timed, work, *args)


async def _timed(work: Callable[..., Awaitable[Result]], *args: Any) -> Result:
    """Await something in asyncio for a limited time."""
    async with asyncio.timeout(REQUEST_SECONDS):
        return await work(*args)


async def _begin_thread(client: discord.Client, channel: int, message: int) -> None:
    """Begin a thread with a message, called after what it says."""
    found = await client.http.get_message(channel, message)
    title = re.sub(r"<[@#:][^>]*>", "", clean(found["content"])).strip().partition("\n")[0]
    await client.http.start_thread_with_message(channel, message, name=title[:80] or "Answer", auto_archive_duration=1440)


def _nonce(channel: int, reply_to: int | None, number: int, text: str) -> str:
    """Return what tells Discord that a message that comes again is the same one: 25 characters at most."""
    return hashlib.sha256(f"{channel} {reply_to} {number} {text}".encode("utf-8", "replace")).hexdigest()[:25]


def _status(error: BaseException) -> int:
    return error.status if isinstance(error, discord.HTTPException) else 0


def delivery_error(error: Exception) -> DeliveryError:
    """Return what became of an answer that Discord did not take, and whether another try can help."""
    if isinstance(error, discord.RateLimited):
        return DeliveryError("Discord wants a pause.", again=True, after=min(error.retry_after, 3600.0))
    status = _status(error)
    if isinstance(error, discord.HTTPException) and (status == 429 or status >= 500):
        return DeliveryError(f"Discord does not take anything now ({status}).", again=True, after=5.0)
    if isinstance(error, discord.HTTPException) and status != 401:
        said = " ".join(error.text.split())[:200].rstrip(".")
        return DeliveryError(f"Discord refuses the answer ({status}): {said or type(error).__name__}.")
    return DeliveryError(f"Discord can't be reached ({type(error).__name__}).", again=True, after=2.0)


@asynccontextmanager
async def answering(
    aio: AioThread, client: discord.Client, target: Target, notes: DeliveryNotes
) -> AsyncIterator[DiscordAnswer]:
    """Open an answer: the channel sees that the bot types, and what `show` is given, until the body ends.

    Raises DeliveryError when the thread that it is to begin can't be had now.
    """
    answer = DiscordAnswer(aio, client, target, notes, target.channel)
    await answer.begin()
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
