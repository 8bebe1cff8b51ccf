"""Relays between a turn and its adapter: one thing at a time, and what is shown of a subagent."""

from __future__ import annotations

from dataclasses import replace

import trio

from hermes_iso.adapter import Relay
from hermes_iso.messages import Progress

__all__ = ["Relay", "one_at_a_time", "tools_of_subagent"]


def one_at_a_time(relay: Relay) -> Relay:
    """Return a relay that a turn and its subagents may call side by side: it passes on one thing after the other."""
    lock = trio.Lock()

    async def relay_in_turn(progress: Progress) -> None:
        async with lock:
            await relay(progress)

    return relay_in_turn


def tools_of_subagent(number: int, relay: Relay) -> Relay:
    """Return where a subagent's progress goes: the tools that it calls, under its number, its questions, none of its text."""

    async def relay_tools(progress: Progress) -> None:
        if progress.kind == "tool_called":
            await relay(replace(progress, text=f"subagent {number}: {progress.text}"))
        elif progress.kind == "question":
            await relay(progress)

    return relay_tools
