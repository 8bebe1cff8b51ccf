"""Front: the inbox of one gateway, wired to the line that takes its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from hermes_iso.adapter import OutboundFile
from hermes_iso.generation import Generation
from hermes_iso.inbox.inbox import Inbox
from hermes_iso.inbox.runner import NO_KINDS, Handle, Kinds, Runner
from hermes_iso.inbox.switchboard import Switchboard, Urgent, nothing_urgent
from hermes_iso.media import with_files
from hermes_iso.messages import Inbound, Outbound
from hermes_iso.services import Services


class GatewayLine(Protocol):
    """The gateway, as its inbox sees it."""

    @property
    def generation(self) -> Generation:
        """What is served now."""

    @property
    def handle(self) -> Handle:
        """Takes a message through the line."""


class Front:
    """What the gateway does with messages that it takes for good; `inbox` is what adapters hand them to."""

    def __init__(
        self, gateway: GatewayLine, services: Services, *, urgent: Urgent = nothing_urgent, kinds: Kinds = NO_KINDS
    ) -> None:
        self._gateway = gateway
        self._services = services
        self.inbox = Inbox(services.records.gateway, Switchboard(lambda: gateway.generation, urgent, self._runs_in))
        self._runner = Runner(self.inbox, gateway.handle, self, chats=services.chats, files_of=self._with_files, kinds=kinds)

    async def serve(self) -> None:
        """Take up what an earlier life left, then message after message. Never returns; cancelling leaves each as it is."""
        await self._runner.serve()

    def reruns(self, agent: str) -> bool:
        """Say whether a turn of an agent runs again although it had called a tool."""
        found = self._gateway.generation.config.agents.get(agent)
        return found is not None and found.resume == "rerun"

    async def answered_before(self, inbound: Inbound, agent: str) -> Outbound | None:
        """Return the answer that a message's session has kept of it, None when it has none."""
        generation = self._gateway.generation
        if agent not in generation.config.agents or inbound.history is not None:
            return None
        route = generation.router.route(replace(inbound, agent=agent))
        kept = await self._services.records.sessions.kept_answer(inbound, route)
        return kept and Outbound(route.reply_to, kept[0], inbound.turn_id or "", agent, kept[1])

    async def _with_files(self, outbound: Outbound) -> tuple[Outbound, Sequence[OutboundFile]]:
        """Return an answer as it goes to its chat, and the files of its agent that it names."""
        return await with_files(self._gateway.generation.config.agents.get(outbound.agent), outbound)

    def _runs_in(self, lane: str) -> bool:
        """Say whether a turn runs in a lane."""
        return any(work.turn.chat == lane for work in self._services.runner.works())

    def close(self) -> None:
        """Take no more messages; those whose turn has not begun are for the next life."""
        self.inbox.close()
        self._runner.give_up({work.turn.turn_id for work in self._services.runner.works()})

    async def wait_idle(self) -> None:
        """Wait until no message is under way any more, deliveries included."""
        await self._runner.wait_idle()

    async def cancel(self, turn_id: str) -> None:
        """Stop a message's turn, or give the message up where it has none yet."""
        if any(work.turn.turn_id == turn_id for work in self._services.runner.works()):
            self._services.runner.interrupt(turn_id)
        elif not self._runner.cancel(turn_id):
            await self._runner.cancel_waiting(turn_id)
