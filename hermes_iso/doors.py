"""Doors: every way out of the gateway's sandboxes that is open now: whose it is, what it may reach, and what went through it.

A turn's door belongs to that turn, one of a command or a background process to the agent. The rules of both are the agent's as
the config has them now: a reload puts the new ones into every open door.
"""

from __future__ import annotations

import math
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

import trio

from hermes_iso.background import Background
from hermes_iso.broker.door import ModelDoor
from hermes_iso.broker.egress.dialing import Dialer, Lookup, SystemLookup
from hermes_iso.broker.egress.door import Door
from hermes_iso.broker.egress.rules import EgressRules
from hermes_iso.broker.egress.serving import serve_door
from hermes_iso.broker.upstream import Sender
from hermes_iso.config.schema import Config
from hermes_iso.hermes.preparing import HermesAgents
from hermes_iso.journal import Journal, TurnLog
from hermes_iso.leases import LeaseLike
from hermes_iso.turn_door import equip_for_process, equip_for_turn
from hermes_iso.work import Work
from hermes_iso_sandbox import Confinement

Equip: TypeAlias = Callable[[Door], None]
"""Lets a door answer by itself, as the config has it now; called anew after each reload."""
Rules: TypeAlias = Callable[[], EgressRules]
"""Gives what may be reached through a door, as the config has it now."""

CLOSE_TIMEOUT = 2.0
"""Seconds for what went through a door to get into the journal when the door is closed."""


class Doors:
    """The open doors of one gateway, for the config that it serves now. lookup: None asks the machine's resolver."""

    def __init__(
        self, config: Config, journal: Journal, sender: Sender, hermes: HermesAgents, lookup: Lookup | None = None
    ) -> None:
        self._config = config
        self._journal = journal
        self._sender = sender
        self._hermes = hermes
        self._lookup = lookup
        self._open: dict[Door, tuple[Equip, Rules]] = {}

    def use(self, config: Config) -> None:
        """Go by another config from now on; what is going on and is no longer allowed ends at once."""
        self._config = config
        self._hermes.keep_only(config.agents)
        for door, (equip, rules) in list(self._open.items()):
            equip(door)
            door.swap(rules())

    @asynccontextmanager
    async def beside(self, work: Work, lease: LeaseLike, *, models: ModelDoor) -> AsyncIterator[None]:
        """Serve a turn's door while the body runs; a turn that is granted nothing that could use it finds it closed.

        An engine that asks its model through the door finds nothing but that behind it then.
        """
        listener = await lease.take_door()
        if listener is None:
            yield
            return
        if not work.may_go_out and work.agent.engine != "hermes":
            listener.close()
            yield
            return
        async with Background() as nursery:
            offers = await self._hermes.offers(work.agent)
            equip = partial(equip_for_turn, work=work, models=models, sender=self._sender, offers=offers)
            rules = partial(self._rules, work.agent.id) if work.may_go_out else EgressRules
            nursery.start_soon(self._serve, work.agent.id, listener, work.log, equip, rules)
            yield

    async def serve_process(self, confinement: Confinement, listener: socket.socket) -> None:
        """Serve the door of a command or background process of an agent until cancelled: its agent's own."""
        turn_id = f"process_{secrets.token_hex(6)}"
        log = self._journal.turn(turn_id, confinement.name, "")

        def equip(door: Door) -> None:
            equip_for_process(door, self._config.agents.get(confinement.name), self._sender, log)

        await self._serve(confinement.name, listener, log, equip, partial(self._rules, confinement.name))

    def _rules(self, agent: str) -> EgressRules:
        """Return what an agent may reach now: nothing when it is not served any more."""
        found = self._config.agents.get(agent)
        return found.egress if found else EgressRules()

    async def _serve(self, agent: str, listener: socket.socket, log: TurnLog, equip: Equip, rules: Rules) -> None:
        """Serve a door until cancelled; what went through it is in the journal when this returns."""
        send, receive = trio.open_memory_channel[dict[str, Any]](math.inf)  # a door has at most `DoorLimits.total` records
        door = Door(
            agent=agent,
            turn=log.turn_id,
            rules=rules(),
            record=send.send_nowait,
            dialer=Dialer(self._config.resolve, self._lookup or SystemLookup()),
        )
        equip(door)
        self._open[door] = (equip, rules)
        try:
            async with Background() as nursery:
                nursery.start_soon(_write, receive.clone(), log)
                await serve_door(trio.SocketListener(trio.socket.from_stdlib_socket(listener)), door)
        finally:
            del self._open[door]
            send.close()
            with trio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await _write(receive, log)


async def _write(receive: trio.MemoryReceiveChannel[dict[str, Any]], log: TurnLog) -> None:
    """Write what went through a door into the journal, which knows already whose it was."""
    async for event in receive:
        await log.add_last("egress", **{name: value for name, value in event.items() if name not in ("agent", "turn")})
