"""What a turn's door answers by itself: the model host, and the hosts that get a credential. `attach` puts it on a door."""

from __future__ import annotations

from hermes_iso.broker.egress.door import Door, LocalExchange
from hermes_iso.broker.egress.heads import read_target
from hermes_iso.broker.injection.hosts import InjectedHosts
from hermes_iso.broker.model_host.endpoints import HOST
from hermes_iso.broker.model_host.host import ModelHost


class OwnHosts:
    """Leads a request to whoever answers it. models: None where the agent's programs have no model host."""

    def __init__(self, models: ModelHost | None, injected: InjectedHosts) -> None:
        self._models = models
        self._injected = injected

    @property
    def names(self) -> frozenset[str]:
        """The hosts that a door is to leave to this."""
        return self._injected.names | {HOST} | (self._models.hosts if self._models else frozenset())

    async def serve(self, client: LocalExchange) -> None:
        """Answer one request. Raises NoWayError, BadRequestError."""
        target = read_target(client.request)
        if target.kind != "local" and target.host in self._injected.names:
            await self._injected.serve(client, target)
        elif self._models is None:
            await client.answer(404, "There is no model host in this sandbox: its operator opens one with agents.<id>.models.")
        else:
            await self._models.serve(client)


def attach(door: Door, hosts: OwnHosts) -> None:
    """Let a door answer for these hosts."""
    door.local, door.virtual = hosts.serve, hosts.names
