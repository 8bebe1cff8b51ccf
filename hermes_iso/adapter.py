"""The Adapter protocol: what the gateway asks of whoever translates one chat platform. Owned by its consumer, the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from hermes_iso.messages import Attachment, ChatRef, Inbound, Outbound, Progress, Receipt

Relay = Callable[[Progress], Awaitable[None]]
"""Takes what a running turn shows before its answer. Called in order, never twice at a time; a subagent's tools come from
tasks of their own."""


class Line(Protocol):
    """What an adapter may ask of the gateway: take one message through the straight line."""

    async def handle(self, inbound: Inbound, deliver: Callable[[Outbound], Awaitable[Receipt]], relay: Relay) -> Receipt:
        """Route, run and answer `inbound`; `deliver` is called exactly once. Cancelling it ends the turn's processes first.

        Raises RouteRejectedError or DrainingError before anything ran; any later failure is an Outbound with `error`.
        """


class Adapter(Protocol):
    """Translates one chat platform. Found by the entry point group `hermes_iso.adapters`."""

    name: str

    async def serve_adapter(self, line: Line, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever: the gateway calls it once in a nursery and cancels it to stop; call started() when ready."""


class Intake(Protocol):
    """What an adapter of a chat platform may ask of the gateway: take messages for good."""

    async def accept(self, inbound: Inbound) -> None:
        """Take a message for good: it is on disk when this returns, and the platform may forget it.

        A message with the platform, account and platform_id of an earlier one is that message, and nothing happens.
        Answers come later, through `ChatAdapter.answering`. Raises InboxFullError or DrainingError when it was not taken.
        """


@dataclass(frozen=True, slots=True)
class ChatAccount:
    """One account of a platform that the config turns on: what its adapter is made of.

    account_id: names it in routes, status and the ledger; stable over restarts. agent: whose it is where the account belongs to
    one profile; None means that the routes decide. settings: the platform's section of the config, checked.
    """

    platform: str
    account_id: str
    token: str = field(repr=False)
    agent: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def chat_platform(self) -> str:
        """The platform that its chats are of: a bridge's setting may name another one than its adapter's."""
        return str(self.settings["platform"]) if self.platform == "webhook" else self.platform


@dataclass(frozen=True, slots=True)
class OutboundFile:
    """A file of the agent that goes out with an answer. `content` was read by the gateway, which checked whose it is."""

    name: str
    media_type: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Doorway:
    """Where a platform calls the gateway: the gateway listens there and hands over what is below `path`."""

    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came to a doorway. path: what stands behind the doorway's own, '' or from a slash on.

    headers: by name in lower case. body: complete, and of a bounded size.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """The answer to a call: a status, and what goes back as JSON, if anything."""

    status: int = 200
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class DeliveryNotes(Protocol):
    """What is on disk about one answer on its way: the messages of the platform that carry it already."""

    @property
    def sent(self) -> Sequence[str]:
        """Ids that the platform gave to the answer's messages, first one first; also those of an earlier life."""

    async def note(self, platform_id: str) -> None:
        """Keep the id of the answer's next message; it is on disk when this returns. Call it before you edit that message."""


class Answering(Protocol):
    """One answer on its way to its chat."""

    async def show(self, progress: Progress) -> None:
        """Show something of the running turn. A platform that can't, or not that often, shows less; failures are its own.

        A question (`Progress` of kind question) must be shown when this returns. Raises DeliveryError when it can't be.
        """

    async def finish(self, outbound: Outbound, files: Sequence[OutboundFile]) -> str:
        """Bring the whole answer to the chat, editing what is there already; return the id of its last message.

        Raises DeliveryError: `again` says whether another try can help, `after` when (seconds).
        """


class Chats(Protocol):
    """All chats that can be answered, whatever their platform and account."""

    def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AbstractAsyncContextManager[Answering]:
        """Open an answer to a chat; see `ChatAdapter.answering`.

        Entering raises DeliveryError: `again` where its account may come back, else it is not configured any more.
        """


class ChatAdapter(Protocol):
    """An adapter whose chats are answered through the ledger. An entry point makes one for each ChatAccount."""

    name: str
    account: ChatAccount

    async def serve_adapter(self, intake: Intake, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever: the gateway calls it in a nursery, again with backoff when it raises, and cancels it to stop.

        Raises AdapterError: why, and when to try again.
        """

    def answering(self, chat: ChatRef, *, reply_to: str | None, notes: DeliveryNotes) -> AbstractAsyncContextManager[Answering]:
        """Open an answer to a chat: typing begins, and ends with it. reply_to: the platform_id of the message it answers."""

    @property
    def doorway(self) -> Doorway | None:
        """Where its platform calls the gateway; None for a platform that the adapter itself asks."""

    async def receive(self, call: Call) -> CallAnswer:
        """Take what came to the doorway. Calls come side by side; what is raised is answered with 500 and no detail."""

    async def fetch(self, attachment: Attachment, *, limit: int) -> bytes:
        """Return a file that came with a message. Raises AttachmentError: too large, gone, or not to be had."""

    def status(self) -> Mapping[str, Any]:
        """Return what /health/detailed tells: `state` (connecting, connected, backing_off, failed), counts, `last_error`."""
