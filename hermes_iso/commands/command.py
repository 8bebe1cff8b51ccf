"""Command: one slash command as a value, what it is called with, and what it can come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from hermes_iso.agents import Agent
from hermes_iso.commands.desk import Desk
from hermes_iso.config.schema import Config
from hermes_iso.messages import Inbound
from hermes_iso.routing import Route
from hermes_iso.session_settings import NO_SETTINGS, SessionSettings


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the agent this: the message goes on along the line.

    replaces: the session's last turn, when this one is to take its place. settings: of a turn that is in no stored session.
    beside: it is taken beside the chat's session, where there are a few places.
    """

    inbound: Inbound
    replaces: str = ""
    settings: SessionSettings = NO_SETTINGS
    beside: bool = False


NEEDS_SESSION = "This needs a session that the gateway keeps: over HTTP, send the header X-Hermes-Session-Id."
Reply: TypeAlias = str | Ask
"""What a command comes to: the answer itself, or something to ask the agent."""


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command.

    args: what follows its name. admin: whether the sender is an admin of the agent. usable: the commands that the sender may
    use.
    """

    args: str
    inbound: Inbound
    route: Route
    agent: Agent
    config: Config
    admin: bool
    usable: tuple[Command, ...]
    desk: Desk

    @property
    def stored(self) -> bool:
        """Whether the gateway keeps this chat's sessions."""
        return self.inbound.history is None

    def ask(self, text: str) -> Ask:
        """Return the message with another text, for the agent."""
        return Ask(replace(self.inbound, text=text))


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command: `name` without the slash, `usage` of its arguments, one sentence, and what it does.

    stored: it needs a session that the gateway keeps. admin: it is for admins only.
    """

    name: str
    run: Callable[[Call], Awaitable[Reply]]
    summary: str
    usage: str = ""
    aliases: tuple[str, ...] = ()
    stored: bool = False
    admin: bool = False
