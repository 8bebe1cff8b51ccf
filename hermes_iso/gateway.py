"""The gateway: what is open while it runs, and the straight line that every message takes. The program on one screen.

receive (adapter) -> route -> open session -> grant -> lease a process -> converse, broker beside it -> record -> deliver
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from hermes_iso.adapter import Relay
from hermes_iso.admin import serve_admin
from hermes_iso.broker.messages import PostOffice
from hermes_iso.config.schema import Config
from hermes_iso.delivery import Deliver, deliver_once, outbound_of, refusal_of
from hermes_iso.errors import DrainingError, RouteRejectedError, TurnError, UsageError
from hermes_iso.messages import Inbound, Receipt
from hermes_iso.routing import Explanation, Route, Router
from hermes_iso.services import Pool, Services, open_services
from hermes_iso.work import Work, command_environment

DRAIN_TIMEOUT = 30.0
"""Seconds that running turns have to end when the gateway stops."""
STOP_TIMEOUT = 10.0
"""Seconds to tell those that did not."""


@asynccontextmanager
async def open_gateway(config: Config, pool: Pool | None = None, *, admin: bool = True) -> AsyncIterator[Gateway]:
    """Open a gateway on a home: lock, databases, journal, model broker, sandboxes, admin socket.

    pool: another pool than the usual one, not yet entered. admin: whether commands elsewhere may use this gateway.
    Raises HomeBusyError, UsageError. On leaving, every process of every turn is dead and all records are written.
    """
    async with open_services(config, pool) as services:
        gateway = Gateway(config, services)
        await services.hooks.gateway_started(tuple(config.agents), platforms=["api_server"] if config.api else [])
        if admin:
            await services.background.start(serve_admin, gateway, services.records.directory)
        yield gateway


class Gateway:
    """Takes messages through the line; any number at once."""

    def __init__(self, config: Config, services: Services) -> None:
        self.config = config
        self._services = services
        self._router = Router(config)
        self._post = PostOffice(self)
        self._draining = False
        self._handling = 0
        self._idle = trio.Event()

    async def handle(self, inbound: Inbound, deliver: Deliver, relay: Relay) -> Receipt:
        """Take one message through the line. Cancelling it ends the turn's processes first.

        Raises RouteRejectedError or DrainingError before anything ran, DeliveryError when `deliver` raised; any other
        failure is an Outbound with `error`.
        """
        self._check_open()
        route = await self._route(inbound)
        agent = self.config.agents[route.agent]
        turn_id = inbound.turn_id or secrets.token_hex(12)
        records = self._services.records
        log = records.journal.turn(turn_id, agent.id, route.session_key)
        with self._counted():
            try:
                async with records.sessions.open(turn_id, inbound, route) as turn:
                    work = Work.granted(turn, agent, relay=relay, log=log, desk=self._post.desk(turn, log))
                    outcome = await self._services.hooks.around(turn, partial(self._services.runner.run, work))
                    if outcome.error is None:
                        await records.sessions.keep(turn, outcome.messages)
                    outbound = outbound_of(outcome, route, turn_id=turn_id, session_id=turn.session_id)
                    return await deliver_once(outbound, deliver, log=log)
            except TurnError as error:
                return await deliver_once(refusal_of(error, inbound, route, turn_id=turn_id), deliver, log=log)

    async def select_agent(self, inbound: Inbound, declared: Explanation, among: Collection[str]) -> str:
        """Return who takes a message that the routes give to an agent: that one, unless a hook names another `among` these.

        `declared` must have a route.
        """
        assert declared.route is not None
        route = declared.route
        about = {"agent_id": route.agent, "session_key": route.session_key, "rule": declared.rule, "tier": declared.tier}
        return await self._services.hooks.select_agent(inbound, about, among) or route.agent

    async def exec_command(
        self, agent: str, argv: Sequence[str], *, stdio: tuple[int, int, int], timeout: float | None = None
    ) -> int:
        """Run a command in exactly the sandbox of an agent's turn; return its status as a shell shows it.

        Raises UsageError for an agent that is not served, DrainingError, ConfigError, SandboxTimeoutError, SandboxError.
        """
        self._check_open()
        found = self.config.agents.get(agent)
        if found is None:
            why = self.config.not_served.get(agent, f"there are: {', '.join(self.config.agents)}")
            raise UsageError(f"No agent {agent!r} is served here: {why}.")
        with self._counted():
            confinement, env = found.confinement(), command_environment(found)
            return await self._services.pool.run_command(confinement, argv, stdio=stdio, env=env, timeout=timeout)

    async def _route(self, inbound: Inbound) -> Route:
        """Return where a message goes. Hooks have a say in what no caller decided. Raises RouteRejectedError."""
        if inbound.agent is not None or not self._services.hooks.choose_agents:
            return self._router.route(inbound)
        declared = self._router.explain(inbound)
        if declared.route is None:
            raise RouteRejectedError(declared.rule)
        agent = await self.select_agent(inbound, declared, self.config.agents)
        return self._router.route(replace(inbound, agent=agent))

    def interrupt(self, agent: str, session_id: str) -> int:
        """Ask a session's turn to stop soon; returns how many turns that were."""
        return self._services.runner.interrupt(agent, session_id)

    async def drain(self, timeout: float = DRAIN_TIMEOUT) -> None:
        """Take no new turns, wait for those that run, then end what is left. May be called again with less patience."""
        self._draining = True
        if self._handling:
            with trio.move_on_after(timeout):
                await self._idle.wait()
        self._services.runner.stop()
        if self._handling:
            with trio.move_on_after(STOP_TIMEOUT):
                await self._idle.wait()

    def statistics(self) -> Mapping[str, Any]:
        """Return what /health/detailed tells: whether it drains, turns that run, and the pool's counts."""
        return {
            "draining": self._draining,
            "handling": self._handling,
            "turns": self._services.runner.running,
            "pool": dict(self._services.pool.statistics()),
            "hooks": self._services.hooks.statistics(),
        }

    def _check_open(self) -> None:
        """Raise DrainingError when no new turn is taken."""
        if self._draining:
            raise DrainingError("The gateway is about to stop and takes no new messages: try again in a moment.")

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count what drain() waits for."""
        self._handling += 1
        try:
            yield
        finally:
            self._handling -= 1
            if self._draining and not self._handling:
                self._idle.set()
