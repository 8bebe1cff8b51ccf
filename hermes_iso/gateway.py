"""The gateway: what is open while it runs, and the straight line that every message takes. The program on one screen.

receive (adapter) -> route -> open session -> grant -> lease a process -> converse, broker beside it -> record -> deliver;
a slash command turns off after the route and is answered without a turn
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import trio

from hermes_iso.adapter import Chats, Relay
from hermes_iso.admin import serve_admin
from hermes_iso.broker.chat_messages import ChatMessages
from hermes_iso.broker.messages import PostOffice
from hermes_iso.commands.desk import Desk
from hermes_iso.commands.line import take_command
from hermes_iso.config.schema import Config
from hermes_iso.cron.clock import Clock
from hermes_iso.delivery import Deliver, answer_of, deliver_once, outbound_of, refusal_of
from hermes_iso.destinations import Destinations
from hermes_iso.errors import DrainingError, TurnError, UsageError
from hermes_iso.file_watch import reload_on_change
from hermes_iso.generation import Change, Generation, Generations
from hermes_iso.inbox.front import Front
from hermes_iso.ledger import NO_LEDGER, Ledger
from hermes_iso.messages import Inbound, Receipt
from hermes_iso.open_chats import open_chats
from hermes_iso.reload import Controls, LastReload, Reloader
from hermes_iso.routing import Router
from hermes_iso.services import MACHINES_OWN, Outside, Pool, Services, open_services
from hermes_iso.work import Work, command_environment

DRAIN_TIMEOUT = 30.0
"""Seconds that running turns have to end when the gateway stops."""
STOP_TIMEOUT = 10.0
"""Seconds to tell those that did not."""


@asynccontextmanager
async def open_gateway(
    config: Config,
    pool: Pool | None = None,
    *,
    admin: bool = True,
    controls: Controls | None = None,
    outside: Outside = MACHINES_OWN,
    chats: Chats | None = None,
) -> AsyncIterator[Gateway]:
    """Open a gateway on a home: lock, databases, journal, model broker, sandboxes, admin socket.

    pool: another pool than the usual one, not yet entered. admin: whether commands elsewhere may use this gateway.
    controls: how it reads its home again and is told to end; without them it can do neither, and leaves the inbox to one that
    serves. outside: how it trusts and finds hosts. chats: where the inbox answers, instead of the config's accounts.
    Raises HomeBusyError, UsageError. On leaving, every process of every turn is dead and all records are written.
    """
    async with open_services(config, pool, outside, chats=chats) as services:
        gateway = Gateway(config, services, controls)
        await services.hooks.gateway_started(tuple(config.agents), platforms=["api_server"] if config.api else [])
        if controls is not None:
            services.background.start_soon(reload_on_change, gateway)
            await gateway.front.inbox.load()
            await open_chats(gateway, services)
            services.background.start_soon(gateway.front.serve)
            services.background.start_soon(gateway.clock.serve)
        if admin:
            await services.background.start(serve_admin, gateway, services.records.directory)
        yield gateway


class Gateway:
    """Takes messages through the line; any number at once."""

    def __init__(self, config: Config, services: Services, controls: Controls | None = None) -> None:
        self._generations = Generations(config)
        self._services = services
        self._controls = controls
        self._reloader = Reloader(services, self._generations)
        self._post = PostOffice(self)
        self.destinations = Destinations(self, services.records.sessions, services.records.people)
        self.clock = Clock(self, self.destinations)
        self.front = Front(self, services, urgent=services.asks.waits_for, kinds={"cron": self.clock.answering})
        self.started = time.time()
        self._draining = False
        self._handling = 0
        self._idle = trio.Event()

    @property
    def generation(self) -> Generation:
        """What is served now."""
        return self._generations.current

    @property
    def config(self) -> Config:
        """The config that is served now."""
        return self.generation.config

    @property
    def router(self) -> Router:
        """The routes that count now."""
        return self.generation.router

    async def handle(self, inbound: Inbound, deliver: Deliver, relay: Relay, ledger: Ledger = NO_LEDGER) -> Receipt:
        """Take one message through the line. Cancelling it ends the turn's processes first.

        ledger: keeps its steps. Raises RouteRejectedError or DrainingError before anything ran, DeliveryError when `deliver`
        raised; any other failure is an Outbound with `error`.
        """
        self._check_open()
        with self._counted() as generation:
            return await self._take(generation, inbound, deliver, relay, ledger)

    async def _take(self, generation: Generation, inbound: Inbound, deliver: Deliver, relay: Relay, ledger: Ledger) -> Receipt:
        """Take one message through the line, by one generation from its first step to its last."""
        services, config = self._services, generation.config
        route = await services.hooks.route(inbound, generation.router, among=config.agents)
        agent = config.agents[route.agent]
        await ledger.routed(agent.id)
        turn_id = inbound.turn_id or secrets.token_hex(12)
        records = services.records
        log = records.journal.turn(turn_id, agent.id, route.session_key)
        try:
            desk = Desk.of(
                inbound,
                route,
                records.sessions,
                services.runner,
                hooks=services.hooks,
                relay=relay,
                log=log,
                people=records.people,
                asks=services.asks,
            )
            reply = await take_command(inbound, route, config, desk)
            if isinstance(reply, str):
                outbound = answer_of(reply, inbound, route, turn_id=turn_id)
                return await deliver_once(outbound, deliver, log=log)
            asked = await services.with_files(reply.inbound, agent)
            where = records.sessions.open(
                turn_id, asked, route, replaces=reply.replaces, settings=reply.settings, beside=reply.beside
            )
            async with where as turn:
                mailbox = self._post.mailbox(turn, log, ChatMessages(self.front.inbox, self.destinations, turn))
                own, slot = turn.settings.applied(agent), services.slots.slot_of(inbound, agent.id, agent.max_concurrent)
                work = Work.granted(turn, own, relay=relay, log=log, mailbox=mailbox, slot=slot, ledger=ledger)
                outcome = await services.hooks.around(turn, partial(services.runner.run, work))
                ledger.ended(outcome.messages)
                if outcome.error is None:
                    await records.sessions.keep(turn, outcome.messages, outcome.usage)
                else:
                    await records.sessions.charge(turn, outcome.usage)
                outbound = outbound_of(outcome, route, turn_id=turn_id, session_id=turn.session_id)
                return await deliver_once(outbound, deliver, log=log)
        except TurnError as error:
            return await deliver_once(refusal_of(error, inbound, route, turn_id=turn_id), deliver, log=log)

    async def select_agent(self, inbound: Inbound, among: Collection[str]) -> str:
        """Return who takes a message that names nobody: its route's agent, unless a hook names another `among` these.

        Raises RouteRejectedError.
        """
        return (await self._services.hooks.route(inbound, self.router, among=among)).agent

    async def exec_command(
        self, agent: str, argv: Sequence[str], *, stdio: tuple[int, int, int], timeout: float | None = None
    ) -> int:
        """Run a command in exactly the sandbox of an agent's turn; return its status as a shell shows it.

        Raises UsageError for an agent that is not served, DrainingError, ConfigError, GuestTimeoutError, SandboxError.
        """
        self._check_open()
        with self._counted() as generation:
            config = generation.config
            found = config.agents.get(agent)
            if found is None:
                why = config.not_served.get(agent, f"there are: {', '.join(config.agents)}")
                raise UsageError(f"No agent {agent!r} is served here: {why}.")
            ready = await self._services.hermes.ready(found)
            confinement, env = ready.confinement(), command_environment(found)
            return await self._services.pool.run_command(confinement, argv, stdio=stdio, env=env, timeout=timeout)

    async def reload(self, why: str) -> Change:
        """Serve what the home says now; turns that run end as they began. `why` names who asked, for the log.

        Raises HermesIsoError (a ConfigError has every reason), SandboxError; then nothing has changed.
        """
        self._check_open()
        return await self._reloader.reload(self._controlled().load, why=why)

    @property
    def last_reload(self) -> LastReload | None:
        """How the latest reload went."""
        return self._reloader.last

    def stop(self) -> None:
        """Have whoever started this gateway drain and end it. Raises UsageError when it serves one command alone."""
        self._controlled().stop.set()

    def _controlled(self) -> Controls:
        """Return what this gateway may do with itself."""
        if self._controls is None:
            raise UsageError("This gateway serves one command alone: there is nothing to reload or to stop.")
        return self._controls

    async def drain(self, timeout: float = DRAIN_TIMEOUT) -> None:
        """Take no new turns, wait for those that run, then end what is left. May be called again with less patience."""
        self._draining = True
        self._services.asks.close()
        self.front.close()
        if self._handling:
            with trio.move_on_after(timeout):
                await self._idle.wait()
        self._services.runner.stop()
        with trio.move_on_after(STOP_TIMEOUT):
            if self._handling:
                await self._idle.wait()
            await self.front.wait_idle()

    def statistics(self) -> Mapping[str, Any]:
        """Return what /health/detailed tells: whether it drains, turns that run or wait, and the pool's counts."""
        return {
            "draining": self._draining,
            "handling": self._handling,
            "turns": self._services.runner.running,
            "queued": self._services.records.sessions.waiting,
            "pool": dict(self._services.pool.statistics()),
            "hooks": self._services.hooks.statistics(),
            "chats": self._services.served_chats.status() if self._services.served_chats is not None else [],
        }

    def turns_of(self, agent: str) -> int:
        """Return how many turns of an agent run now."""
        return self._services.runner.running_of(agent)

    def _check_open(self) -> None:
        """Raise DrainingError when no new turn is taken."""
        if self._draining:
            raise DrainingError("The gateway is about to stop and takes no new messages: try again in a moment.")

    @contextmanager
    def _counted(self) -> Iterator[Generation]:
        """Give the current generation, and count what drain() and the end of that generation wait for."""
        self._handling += 1
        try:
            with self._generations.hold() as generation:
                yield generation
        finally:
            self._handling -= 1
            if self._draining and not self._handling:
                self._idle.set()
