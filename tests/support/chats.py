"""Chats in memory: what a platform would show of the answers that reach it, with failures on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from hermes_iso.adapter import DeliveryNotes, OutboundFile
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress

Fault = Callable[[str, str], BaseException | None]
"""Given what is done (open, send, edit) and the text, returns what to raise."""


def no_fault(what: str, text: str) -> None:
    """Let everything pass."""


@dataclass
class MemoryChats:
    """A platform whose messages are texts by id. A streamed answer is one message, edited until it is whole."""

    streams: bool = False
    fault: Fault = no_fault
    messages: dict[str, tuple[str, str]] = field(default_factory=dict)
    outbounds: list[Outbound] = field(default_factory=list)
    files: list[OutboundFile] = field(default_factory=list)
    answered: trio.Event = field(default_factory=trio.Event)

    @asynccontextmanager
    async def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AsyncIterator[MemoryAnswer]:
        self._check("open", "")
        yield MemoryAnswer(self, chat, notes)

    def _check(self, what: str, text: str) -> None:
        found = self.fault(what, text)
        if found is not None:
            raise found

    def send(self, chat: ChatRef, text: str) -> str:
        self._check("send", text)
        message_id = f"m{len(self.messages) + 1}"
        self.messages[message_id] = (chat.chat_id, text)
        return message_id

    def edit(self, message_id: str, text: str) -> None:
        self._check("edit", text)
        self.messages[message_id] = (self.messages[message_id][0], text)

    def texts(self, chat: str = "c") -> list[str]:
        """Return what a chat shows, in order."""
        return [text for where, text in self.messages.values() if where == chat]

    async def wait_answers(self, count: int) -> list[Outbound]:
        """Wait until so many answers were brought."""
        with trio.fail_after(30):
            while len(self.outbounds) < count:
                self.answered = trio.Event()
                await self.answered.wait()
        return self.outbounds


class MemoryAnswer:
    """One answer on its way."""

    def __init__(self, chats: MemoryChats, chat: ChatRef, notes: DeliveryNotes) -> None:
        self._chats = chats
        self._chat = chat
        self._notes = notes
        self._text = ""

    async def show(self, progress: Progress) -> None:
        if progress.kind == "question":
            self._chats.send(self._chat, progress.text)
        if self._chats.streams and progress.kind == "text":
            self._text += progress.text
            await self._put(self._text)

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:
        await self._put(outbound.text)
        self._chats.outbounds.append(outbound)
        self._chats.files += files
        self._chats.answered.set()
        return self._notes.sent[0]

    async def _put(self, text: str) -> None:
        if self._notes.sent:
            self._chats.edit(self._notes.sent[0], text)
        else:
            await self._notes.note(self._chats.send(self._chat, text))


def message(text: str, number: int | str = 1, *, chat: str = "c", platform: str = "memory", **more: object) -> Inbound:
    """Return a message of a person."""
    return Inbound(ChatRef(platform, chat), text, str(number), **more)  # type: ignore[arg-type]
