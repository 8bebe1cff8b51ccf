"""The line's turn-off for commands: a message that is one is answered here, if its sender may use it."""

from __future__ import annotations

from hermes_iso.commands.access import is_admin, may_use
from hermes_iso.commands.answers import take_answer
from hermes_iso.commands.busy import meet_running
from hermes_iso.commands.command import NEEDS_SESSION, Ask, Call, Reply
from hermes_iso.commands.desk import Desk
from hermes_iso.commands.words import BY_NAME, no_command, parse
from hermes_iso.config.schema import Config
from hermes_iso.messages import Inbound
from hermes_iso.routing import Route
from hermes_iso.session_settings import SessionSettings

WITHOUT_COMMANDS = frozenset({"agent"})
"""Platforms on which nobody gives commands: what agents write to each other is text."""


async def take_command(inbound: Inbound, route: Route, config: Config, desk: Desk) -> Reply:
    """Return the answer to a command, or what is to be asked of the agent: the message itself where it is no command.

    Raises TurnError, as a turn would.
    """
    if inbound.clock:
        return Ask(inbound, settings=SessionSettings(model=inbound.model, denied_tools=frozenset(inbound.denied_tools)))
    spoken = None if inbound.chat.platform.lower() in WITHOUT_COMMANDS else parse(inbound.text)
    if spoken is None:
        answer = await take_answer(inbound, route, config, desk.asks)
        return answer or await meet_running(inbound, config.agents[route.agent], desk) or Ask(inbound)
    name, args = spoken
    command = BY_NAME.get(name)
    await desk.log.add("command", name=command.name if command else "unknown")
    if command is None:
        return no_command(name)
    agent = config.agents[route.agent]
    admin = is_admin(config, agent, inbound)
    usable = tuple(each for each in dict.fromkeys(BY_NAME.values()) if may_use(each.name, config, agent, inbound))
    if command not in usable:
        allowed = ", ".join(f"/{each.name}" for each in usable)
        return f"You may not use /{command.name} here, but {allowed}; an admin of this platform can allow more."
    if command.admin and not admin:
        return f"Only an admin of agent {agent.id} may use /{command.name}."
    if command.stored and inbound.history is not None:
        return NEEDS_SESSION
    await desk.hooks.command(command.name, inbound, route, arguments=args)
    return await command.run(Call(args, inbound, route, agent, config, admin, usable, desk))
