"""A gateway of its own process for crash tests: the real line on a home, a platform that is a directory, and a step to die at.

    python -m tests.support.chaos_gateway HOME PLATFORM STEP COUNT

PLATFORM is a directory: `in/` holds the messages that the platform hands over, one JSON file each, until the gateway has
acknowledged it by deleting it; `out/` holds what the platform took, one file per message of its own; `log` has one line for
each message that it took or edited. The process kills itself with SIGKILL when it has come to STEP for the COUNT-th time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from hermes_iso.adapter import DeliveryNotes, OutboundFile
from hermes_iso.config.load import load_config
from hermes_iso.errors import InboxFullError
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso.inbox.row_ledger import RowLedger
from hermes_iso.messages import ChatRef, Inbound, Outbound, Progress
from hermes_iso.reload import Controls

STEPS = (
    "before accept",
    "after accept",
    "after routed",
    "after running",
    "after tool",
    "after text",
    "after send",
    "after note",
    "before answered",
    "after answered",
    "before finish",
    "after finish",
    "after delivered",
)
"""Where it can die. `after send` is the documented window: the platform has a message that no row knows of."""


class Death:
    """Dies at a step."""

    def __init__(self, step: str, count: int) -> None:
        self._step, self._left = step, count

    def at(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class DirectoryChats:
    """The platform: what it takes is a file before `send` returns."""

    def __init__(self, place: Path, death: Death) -> None:
        self._place, self._death = place, death

    @asynccontextmanager
    async def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AsyncIterator[DirectoryAnswer]:
        yield DirectoryAnswer(self._place, self._death, chat, reply_to or "", notes)


class DirectoryAnswer:
    """One answer, which is one message of the platform, edited as it grows."""

    def __init__(self, place: Path, death: Death, chat: ChatRef, reply_to: str, notes: DeliveryNotes) -> None:
        self._place, self._death, self._chat, self._reply_to, self._notes = place, death, chat, reply_to, notes
        self._text = ""

    async def show(self, progress: Progress) -> None:
        if progress.kind == "text":
            self._text += progress.text
            await self._put(self._text)
            self._death.at("after text")

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:
        self._death.at("before finish")
        await self._put(outbound.text)
        self._death.at("after finish")
        return self._notes.sent[0]

    async def _put(self, text: str) -> None:
        sent = self._notes.sent
        number = sent[0] if sent else f"{self._reply_to}-{len(list((self._place / 'out').iterdir()))}"
        file = self._place / "out" / number
        what = {"chat": self._chat.chat_id, "reply_to": self._reply_to, "text": text}
        file.with_suffix(".new").write_text(json.dumps(what))
        file.with_suffix(".new").rename(file)
        with (self._place / "log").open("a") as log:
            log.write(json.dumps({"did": "edit" if sent else "send", **what}) + "\n")
        if not sent:
            self._death.at("after send")
            await self._notes.note(number)
            self._death.at("after note")


def fault(owner: Any, name: str, death: Death, *, before: str = "", after: str = "") -> None:
    """Put a step before or after a method."""
    inner: Callable[..., Any] = getattr(owner, name)

    async def wrapped(*args: Any, **more: Any) -> Any:
        death.at(before)
        found = await inner(*args, **more)
        death.at(after)
        return found

    setattr(owner, name, wrapped)


async def feed(gateway: Gateway, place: Path, death: Death) -> None:
    """Hand over what the platform has, in order; forget a message only when the gateway has it."""
    while True:
        for file in sorted((place / "in").glob("*.json")):
            what = json.loads(file.read_text())
            inbound = Inbound(ChatRef("directory", what["chat"]), what["text"], file.stem, user_id="person")
            death.at("before accept")
            try:
                await gateway.front.inbox.accept(inbound)
            except InboxFullError:
                break
            death.at("after accept")
            file.unlink()
        (place / "open").write_text(str(gateway.front.inbox.open))
        await trio.sleep(0.02)


async def main(home: Path, place: Path, death: Death) -> None:
    """Serve until killed."""
    fault(RowLedger, "routed", death, after="after routed")
    fault(RowLedger, "running", death, after="after running")
    fault(RowLedger, "tools_called", death, after="after tool")
    fault(RowLedger, "answered", death, before="before answered", after="after answered")
    fault(RowLedger, "done", death, after="after delivered")
    config = load_config(home, {})
    controls, chats = Controls(lambda: config, trio.Event()), DirectoryChats(place, death)
    async with open_gateway(config, controls=controls, chats=chats) as gateway:
        print("ready", flush=True)
        await feed(gateway, place, death)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), Path(sys.argv[2]), Death(sys.argv[3], int(sys.argv[4])))
