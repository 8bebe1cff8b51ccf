"""HermesAgents: what the gateway has to know of a Hermes agent's models before its sandbox is made, and beside its turns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import structlog

from hermes_iso.agents import Agent
from hermes_iso.broker.model_host.menu import Offers
from hermes_iso.errors import ModelError, TurnError
from hermes_iso.hermes.menu import HermesMenu
from hermes_iso.hermes.model_inside import config_sections, inside
from hermes_iso.hermes.models import HermesModels, Known


class HermesAgents:
    """One per gateway."""

    def __init__(self, models: HermesModels | None = None) -> None:
        self._models = models or HermesModels()

    async def prepared(self, agent: Agent) -> Agent:
        """Return an agent whose sandbox tells its engine of its models; one of another engine as it is. Raises TurnError."""
        if agent.hermes is None or agent.hermes.profile is None:
            return agent
        try:
            own = await self._models.of(agent.hermes.profile)
            known = await self._known(agent) or own
        except ModelError as error:
            raise TurnError(error.kind, str(error)) from error
        asked = {} if known is own else inside("main", known.main).settings()
        hermes = replace(agent.hermes, sections=config_sections(own.resolved, own.written), asked=asked)
        return replace(agent, hermes=hermes)

    async def ready(self, agent: Agent) -> Agent:
        """Return the same where no turn is asked for: without models where they can't be told, which is in the log."""
        try:
            return await self.prepared(agent)
        except TurnError as error:
            structlog.get_logger().warning("hermes_models", agent=agent.id, reason=str(error))
            return agent

    async def offers(self, agent: Agent) -> Offers | None:
        """Return what makes the offer to a turn of a Hermes agent; None for one of another engine. Raises ModelError."""
        known = await self._known(agent)
        if known is None:
            return None
        resolved, pools, env_file = known.resolved, known.pools, agent.profile.home / ".env"
        return lambda menu: HermesMenu.of(resolved, pools, refused=menu.refused, about=menu.about, env_file=env_file)

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget every agent that is not served any more."""
        self._models.keep_only(names)

    async def _known(self, agent: Agent) -> Known | None:
        """Return what an agent's profile, and the model that its session chose, mean now. Raises ModelError."""
        profile = agent.hermes.profile if agent.hermes else None
        if profile is None:
            return None
        return await self._models.of(profile, agent.model.model if agent.model.model != profile.model else "")
