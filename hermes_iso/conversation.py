"""The conversation with a turn process, until its last message: what it shows is relayed, what it asks is taken."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import trio

from hermes_iso.history import clean_text
from hermes_iso.leases import LeaseLike
from hermes_iso.messages import Progress
from hermes_iso.outcomes import shown, shown_name
from hermes_iso.work import Work
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.errors import SandboxError

End: TypeAlias = wire.TurnDone | wire.TurnFailed


class Returned(Protocol):
    """Takes it that a tool ended; `hooks.tool_hooks.ToolHooks.returned` is one."""

    async def __call__(self, call_id: str, name: str, *, ok: bool, seconds: float) -> None:
        """Take one."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Who is told of what a guest says. settle: that it takes in what it was told as its user."""

    take_call: Callable[[wire.BrokerCall], None]
    settle: Callable[[], None]
    returned: Returned


async def converse(work: Work, lease: LeaseLike, heard: Heard) -> End:
    """Take what the guest says until its last message and return that. Raises SandboxError, and what those of `heard` raise."""
    try:
        return await _listen(work, lease, heard)
    finally:
        await work.log.add_tool_rest()


async def _listen(work: Work, lease: LeaseLike, heard: Heard) -> End:
    """Take one message after the other; between two of them others run, however fast they come."""
    pieces = characters = 0
    while True:
        message = await lease.receive()
        await trio.lowlevel.checkpoint()
        match message:
            case wire.TextDelta():
                pieces, characters = pieces + 1, characters + len(message.text)
                if message.text:
                    await work.relay(Progress("text", clean_text(message.text)))
            case wire.BrokerCall():
                heard.take_call(message)
            case wire.SteerTaken():
                heard.settle()
            case wire.ToolCalled():
                name = shown_name(message.name)
                await work.ledger.tools_called([name])
                await work.log.add_tool("tool_called", tool=name, arguments_shown=len(message.preview))
                await work.relay(Progress("tool_called", shown(message.preview), name))
            case wire.ToolReturned():
                name = shown_name(message.name)
                await work.log.add_tool("tool_returned", tool=name, ok=message.ok, seconds=message.seconds)
                await work.relay(Progress("tool_returned", "ok" if message.ok else "failed", name))
                await heard.returned(shown(message.call_id), name, ok=message.ok, seconds=message.seconds)
            case wire.Status():
                await work.relay(Progress("status", shown(message.text)))
            case wire.TurnDone() | wire.TurnFailed():
                await work.log.add("text", pieces=pieces, characters=characters)
                await _note_later_frames(work, lease)
                return message


async def _note_later_frames(work: Work, lease: LeaseLike) -> None:
    """Record whether something had already come after the last message; it counts for nothing."""
    later = False
    with trio.move_on_after(0), suppress(SandboxError):
        await lease.receive()
        later = True
    if later:
        await work.log.add("frames_after_end")
