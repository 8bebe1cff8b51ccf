"""The Adapter protocol: what the gateway asks of whoever translates one chat platform. Owned by its consumer, the gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from hermes_iso.messages import Inbound, Outbound, Progress, Receipt

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
    """Translates one chat platform. Found by the entry point group `hermes_iso.adapters`; made without arguments."""

    name: str

    async def serve_adapter(self, line: Line, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever: the gateway calls it once in a nursery and cancels it to stop; call started() when ready."""
