"""Reach the gateway of a home: the one that runs there, by its admin socket, or one in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio

from hermes_iso.adapter import Line, Relay
from hermes_iso.admin import AdminClient, find_gateway
from hermes_iso.cli.inside import prepared
from hermes_iso.errors import HomeBusyError
from hermes_iso.gateway import open_gateway
from hermes_iso.messages import Inbound, Outbound, Receipt

BUSY_WAIT = 30.0
BUSY_PAUSE = 0.05


class Reached(Line, Protocol):
    """A gateway as the command line uses it, here or behind the admin socket."""

    async def exec_command(
        self, agent: str, argv: Sequence[str], *, stdio: tuple[int, int, int], timeout: float | None = None
    ) -> int:
        """Run a command in an agent's sandbox and return its status."""


class RemoteGateway:
    """The line of a gateway that runs elsewhere: cancelling a call hangs up, and that ends the turn there."""

    def __init__(self, client: AdminClient) -> None:
        self._client = client
        self.exec_command = client.exec_command

    async def handle(self, inbound: Inbound, deliver: Callable[[Outbound], Awaitable[Receipt]], relay: Relay) -> Receipt:
        """Send a message of the console; only its text, agent and chat id travel, and whether it can be asked back."""
        outbound = await self._client.chat(
            inbound.text,
            agent=inbound.agent,
            session=inbound.chat.chat_id,
            relay=relay,
            answerable=inbound.answerable,
        )
        return await deliver(outbound)


@asynccontextmanager
async def reach(home: Path) -> AsyncIterator[Reached]:
    """Reach the gateway that runs on a home, or open one here for as long as the context lasts.

    One here serves this command alone, so a second such command waits for the first, BUSY_WAIT seconds at most.
    Raises ConfigError, HomeBusyError, UnsupportedSandboxError.
    """
    client = await find_gateway(home)
    if client is not None:
        yield RemoteGateway(client)
        return
    async with AsyncExitStack() as stack:
        yield await _open(home, stack)


async def _open(home: Path, stack: AsyncExitStack) -> Reached:
    """Open a gateway here, or find one that was started meanwhile."""
    config = prepared(home, level=_log_level(os.environ))
    deadline = trio.current_time() + BUSY_WAIT
    while True:
        try:
            return await stack.enter_async_context(open_gateway(config, admin=False))
        except HomeBusyError:
            client = await find_gateway(home)
            if client is not None:
                return RemoteGateway(client)
            if trio.current_time() > deadline:
                raise
            await trio.sleep(BUSY_PAUSE)


def _log_level(environ: Mapping[str, str]) -> int:
    """Return from which level a gateway logs that shares its terminal with a conversation: hardly ever, unless asked."""
    return logging.INFO if environ.get("HERMES_ISO_DEBUG") == "1" else logging.CRITICAL
