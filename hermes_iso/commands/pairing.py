"""/pairing: let people of a chat platform talk to the agent, and see who may."""

from __future__ import annotations

import time

from hermes_iso.admission import Paired
from hermes_iso.commands.command import Call, Command, Reply
from hermes_iso.config.known import PLATFORMS

_USAGE = "Write /pairing, /pairing approve PLATFORM CODE, or /pairing revoke PLATFORM USER."


async def _pairing(call: Call) -> Reply:
    """Show who was let in, let somebody in, or let somebody in no more."""
    match call.args.split():
        case []:
            return await _shown(call)
        case ["approve", platform, code] if platform.lower() in PLATFORMS:
            found = await call.desk.people.approve(call.agent.id, platform.lower(), code)
            if found is None:
                return "Nobody has that code, or it does not hold any more: a code holds for an hour, and for one agent."
            return f"{found.platform}:{found.user_id} may talk to agent {call.agent.id} from now on."
        case ["revoke", platform, user] if platform.lower() in PLATFORMS:
            if await call.desk.people.revoke(call.agent.id, platform.lower(), user):
                return f"{platform.lower()}:{user} was let in and is not any more; a list in the config may still name them."
            return f"{platform.lower()}:{user} had not been let in."
    return _USAGE


async def _shown(call: Call) -> str:
    """Say who was let in, and who waits; a code is shown to nobody but its owner."""
    people, waiting = call.desk.people.of(call.agent.id), await call.desk.people.waiting(call.agent.id)
    lines = [f"{len(people)} were let in to talk to agent {call.agent.id}:", *map(_line, people)] if people else []
    lines += [f"{len(waiting)} have a code that holds:", *map(_line, waiting)] if waiting else []
    return "\n".join(lines or [f"Nobody was let in to talk to agent {call.agent.id}, and nobody waits."])


def _line(person: Paired) -> str:
    """Return a line about a person."""
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(person.at)) if person.at else "imported"
    return f"- {person.platform}:{person.user_id}{f' ({person.name})' if person.name else ''}, {since}"


COMMANDS = (
    Command(
        "pairing",
        _pairing,
        "Who may talk to this agent, and let in whoever has a pairing code.",
        usage="[approve PLATFORM CODE | revoke PLATFORM USER]",
        admin=True,
    ),
)
"""The commands of this file."""
