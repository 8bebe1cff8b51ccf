"""Directory: which agents a caller may use, which one answers, and the way to the line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

from hermes_iso.api.auth import Caller
from hermes_iso.api.errors import ApiError
from hermes_iso.config.schema import Config
from hermes_iso.errors import DrainingError, RouteRejectedError
from hermes_iso.inbox.front import Front
from hermes_iso.inbox.inbox import Inbox
from hermes_iso.messages import Inbound, Outbound, Progress, Receipt
from hermes_iso.routing import Router

Deliver = Callable[[Outbound], Awaitable[Receipt]]
Relay = Callable[[Progress], Awaitable[None]]


class ApiLine(Protocol):
    """What the API asks of the gateway."""

    @property
    def config(self) -> Config:
        """The config that is served now."""

    @property
    def router(self) -> Router:
        """The routes that count now."""

    async def handle(self, inbound: Inbound, deliver: Deliver, relay: Relay) -> Receipt:
        """Take one message through the line."""

    async def select_agent(self, inbound: Inbound, among: Collection[str]) -> str:
        """Return who takes a message that names nobody, by routes and hooks. Raises RouteRejectedError."""

    def statistics(self) -> Mapping[str, Any]:
        """Return what /health/detailed tells."""

    @property
    def front(self) -> Front:
        """Takes messages for good."""


class Directory:
    """The agents as the API's callers see them."""

    def __init__(self, line: ApiLine) -> None:
        self._line = line

    @property
    def _config(self) -> Config:
        """The config as it is now: a reload may change it between two requests."""
        return self._line.config

    def statistics(self) -> Mapping[str, Any]:
        """Return what /health/detailed tells."""
        return self._line.statistics()

    @property
    def inbox(self) -> Inbox:
        """What is taken for good."""
        return self._line.front.inbox

    async def stop(self, turn_id: str) -> None:
        """Stop the turn of a message that was taken for good, or give the message up where it has none yet."""
        await self._line.front.cancel(turn_id)

    def agents(self, caller: Caller) -> list[str]:
        """Return the agents that a caller may use, in order."""
        return [agent for agent in self._config.agents if caller.may_use(agent)]

    def agent_of_path(self, caller: Caller, agent: str | None) -> str | None:
        """Return the agent that a path names. Raises ApiError: 403 for one the key does not open, 404 for an unknown one."""
        if agent is not None:
            self._check_allowed(caller, agent)
            if agent not in self._config.agents:
                raise ApiError(404, f"There is no agent {agent[:80]!r} here.", code="agent_not_found")
        return agent

    async def choose(self, caller: Caller, path_agent: str | None, asked: Inbound, model: str) -> str:
        """Return who answers: the path's agent, else the key's only one, else by route, else by `model`, else the default.

        asked: the chat and user that the caller's headers name, as routes see them.

        Raises ApiError: 403 when the key does not open that agent, 404 when nobody takes the message.
        """
        api = self._config.api
        if api is not None and api.strict_model and model and model not in self._config.agents:
            text = f"The model {model[:80]!r} is no agent here, and api_server.extra.strict_model is on."
            raise ApiError(404, text, code="model_not_found", param="model")
        agent = path_agent or caller.only_agent or await self._by_route(caller, asked, model)
        self._check_allowed(caller, agent)
        return agent

    async def handle(self, inbound: Inbound, deliver: Deliver, relay: Relay) -> Receipt:
        """Take a message through the line. Raises ApiError where the line refuses it before anything ran."""
        try:
            return await self._line.handle(inbound, deliver, relay)
        except DrainingError as error:
            raise ApiError(503, str(error), code="draining", retry_after=5.0) from error
        except RouteRejectedError as error:
            raise ApiError(404, _sentence(str(error)), code="agent_not_found") from error

    async def _by_route(self, caller: Caller, asked: Inbound, model: str) -> str:
        """Return the agent by the routes, else by the model's name, else the default.

        What a hook says counts before a route or the default, among the agents that the caller may use anyhow.
        """
        if self._line.router.decide(asked).place is None and model in self._config.agents:
            return model
        try:
            return await self._line.select_agent(asked, self.agents(caller))
        except RouteRejectedError as error:
            raise ApiError(404, _sentence(str(error)), code="agent_not_found") from error

    def _check_allowed(self, caller: Caller, agent: str) -> None:
        """Raise ApiError(403) when the key does not open an agent, whether there is one or not."""
        if not caller.may_use(agent):
            raise ApiError(403, f"The key {caller.name!r} does not open agent {agent[:80]!r}.", code="agent_not_allowed")


def _sentence(text: str) -> str:
    """Return a clause as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."
