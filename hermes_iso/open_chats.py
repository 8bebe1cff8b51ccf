"""open_chats: begin to serve the chat accounts of a gateway: whom another gateway had let in, the entrance, the adapters."""

from __future__ import annotations

from functools import partial
from typing import Protocol

import structlog
import trio

from hermes_iso.admission import Admission
from hermes_iso.commands.registry import COMMANDS
from hermes_iso.config.schema import Config
from hermes_iso.entrance import Entrance, Routing
from hermes_iso.inbox.front import Front
from hermes_iso.pairing_files import read_hermes_pairing
from hermes_iso.services import Services


class GatewayLine(Routing, Protocol):
    """The gateway, as its chats see it."""

    front: Front


async def open_chats(routing: GatewayLine, services: Services) -> None:
    """Serve the chat accounts of a gateway beside everything else, until its background ends."""
    chats = services.served_chats
    if chats is not None:
        await _import_pairing(routing.config, services.records.people)
        entrance = Entrance(routing.front.inbox, routing, services.records.people, services.background, chats)
        told = [(command.name.replace("-", "_"), command.summary[:256]) for command in COMMANDS]
        await services.background.start(chats.serve, entrance, told)


async def _import_pairing(config: Config, people: Admission) -> None:
    """Let in, once for each agent, whom Hermes' own gateway had let in."""
    if not config.chat_accounts:
        return
    for agent in config.agents.values():
        home, root = agent.profile.home, agent.profile.home == config.home
        found = await trio.to_thread.run_sync(partial(read_hermes_pairing, home, agent.id, root=root))
        if found and await people.import_once(agent.id, found):
            structlog.get_logger().info("pairing_imported", agent=agent.id, people=len(found))
