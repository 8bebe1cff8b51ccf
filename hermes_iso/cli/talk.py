"""`chat`: a turn or a conversation, through the running gateway of the home or in this process."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Protocol, cast

import trio
from cyclopts import App, Parameter

from hermes_iso.adapter import Adapter
from hermes_iso.cli.exits import FAILED
from hermes_iso.cli.options import HomeOption, find_home
from hermes_iso.cli.reach import reach
from hermes_iso.errors import UsageError

Text = Annotated[str | None, Parameter(allow_leading_hyphen=True)]


class Chat(Adapter, Protocol):
    """What `chat` asks of the console adapter beside serving."""

    failed: bool


def add_commands(app: App) -> None:
    """Add `chat`."""
    app.command(chat)


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


def load_console() -> Callable[..., Chat]:
    """Return the console adapter's class, found as every adapter is. Raises UsageError when it is not installed."""
    for entry in entry_points(group="hermes_iso.adapters", name="console"):
        return cast("Callable[..., Chat]", entry.load())
    raise UsageError("The console adapter is not installed: install hermes-iso anew, with pip.")


async def _chat(home: Path, console: Chat) -> None:
    async with reach(home) as gateway:
        await console.serve_adapter(gateway)
