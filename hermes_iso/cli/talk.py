"""`chat` and `exec`: a turn, a conversation or a command, through the running gateway of the home or in this process."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Protocol, cast

import trio
from cyclopts import App, Parameter

from hermes_iso.adapter import Adapter, Line, Relay
from hermes_iso.admin import AdminClient, find_gateway
from hermes_iso.cli.exits import FAILED
from hermes_iso.cli.inside import open_here
from hermes_iso.cli.options import HomeOption, find_home
from hermes_iso.cli.streams import guarded_streams
from hermes_iso.errors import UsageError
from hermes_iso.messages import Inbound, Outbound, Receipt

Text = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


class Chat(Adapter, Protocol):
    """What `chat` asks of the console adapter beside serving."""

    failed: bool


def add_commands(app: App) -> None:
    """Add `chat` and `exec`."""
    app.command(chat)
    app.command(run_inside, name="exec")


def chat(
    *,
    agent: Annotated[Text, Parameter(help="Who is asked; without it the routes decide.")] = None,
    question: Annotated[Text, Parameter(name=("--question", "-q"), help="Ask this, print the answer, and end.")] = None,
    session: Annotated[str, Parameter(allow_leading_hyphen=True, help="Names the conversation that goes on.")] = "cli",
    home: HomeOption = None,
) -> int:
    """Talk to an agent on this terminal. Ctrl-C ends a turn, Ctrl-D or /quit the chat. Exit 1 when a turn failed."""
    if question is not None and not question.strip():
        raise UsageError("-q needs a question, and what was given is empty.")
    if not session:
        raise UsageError("--session needs a name, and what was given is empty.")
    console = load_console()(agent=agent, session=session, question=question)
    trio.run(_chat, find_home(home), console)
    return FAILED if console.failed else 0


def run_inside(
    *argv: Annotated[str, Parameter(allow_leading_hyphen=True, help="The command, behind `--`.")],
    agent: Annotated[str, Parameter(help="In whose sandbox.")],
    timeout: Annotated[float | None, Parameter(help="Seconds after which it is ended (exit 124).")] = None,
    home: HomeOption = None,
) -> int:
    """Run a command in exactly the sandbox that a turn of an agent gets; its exit status is the command's."""
    if not argv:
        raise UsageError("What to run is missing: hermes-iso exec --agent NAME -- ARGV…")
    if timeout is not None and not 0 < timeout < float("inf"):
        raise UsageError(f"--timeout must be a number of seconds above 0, and {timeout:g} is not.")
    sys.stdout.flush()
    return trio.run(_exec, find_home(home), agent, argv, timeout)


def load_console() -> Callable[..., Chat]:
    """Return the console adapter's class, found as every adapter is. Raises UsageError when it is not installed."""
    for entry in entry_points(group="hermes_iso.adapters", name="console"):
        return cast("Callable[..., Chat]", entry.load())
    raise UsageError("The console adapter is not installed: install hermes-iso anew, with pip.")


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
        """Send a message of the console; only its text, agent and chat id travel."""
        session = inbound.chat.chat_id
        return await deliver(await self._client.chat(inbound.text, agent=inbound.agent, session=session, relay=relay))


@asynccontextmanager
async def _reach(home: Path) -> AsyncIterator[Reached]:
    """Reach the gateway that runs on a home, or open one here for as long as the context lasts."""
    client = await find_gateway(home)
    if client is not None:
        yield RemoteGateway(client)
        return
    async with open_here(home, level=_log_level(os.environ)) as gateway:
        yield gateway


def _log_level(environ: Mapping[str, str]) -> int:
    """Return from which level a gateway logs that shares its terminal with a conversation: hardly ever, unless asked."""
    return logging.INFO if environ.get("HERMES_ISO_DEBUG") == "1" else logging.CRITICAL


async def _chat(home: Path, console: Chat) -> None:
    async with _reach(home) as gateway:
        await console.serve_adapter(gateway)


async def _exec(home: Path, agent: str, argv: Sequence[str], timeout: float | None) -> int:
    async with _reach(home) as gateway, guarded_streams() as stdio:
        return await gateway.exec_command(agent, argv, stdio=stdio, timeout=timeout)
