"""InjectedHosts: answers a turn's plain requests to the hosts of its agent's secrets, over TLS, with the secrets put in."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import partial

import structlog

from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.broker.egress.door import Door, LocalExchange
from hermes_iso.broker.egress.heads import Target
from hermes_iso.broker.injection.inspecting import SecretLeakError
from hermes_iso.broker.injection.permission import port_behind, why_not
from hermes_iso.broker.injection.sending import send_with_secrets
from hermes_iso.credentials import Secret
from hermes_iso.journal import TurnLog


class InjectedHosts:
    """The hosts of one agent's secrets, for one turn, whose rules and addresses are its door's. tls: how hosts are trusted."""

    def __init__(self, secrets: Sequence[Secret], *, door: Door, tls: ssl.SSLContext, log: TurnLog) -> None:
        self._secrets = tuple(secrets)
        self._door = door
        self._tls = tls
        self._log = log

    @property
    def names(self) -> frozenset[str]:
        """The names of the hosts."""
        return frozenset(secret.host for secret in self._secrets)

    async def serve(self, client: LocalExchange, target: Target) -> None:
        """Answer a request. Raises NoWayError, BadRequestError."""
        host, method = target.host, client.request.method.decode("ascii")
        port = port_behind(self._secrets, host, target.port)
        if port is None:
            raise NoWayError(f"{host} is not served on port {target.port} here: use http://{host}/.", refused=True)
        permitted = partial(self._why_not, host, port, method, target.path)
        if why := permitted():
            ask = f"For the operator: hermes-iso egress explain {self._door.agent} {host}:{port}"
            raise NoWayError(f"Agent {self._door.agent} may not send this to {host}: {why}. {ask}", refused=True, why=why)
        used: list[str] = []
        end = "cut"
        try:
            secrets = [secret for secret in self._secrets if (secret.host, secret.port) == (host, port)]
            await send_with_secrets(
                client,
                secrets,
                door=self._door,
                port=port,
                path=target.path,
                tls=self._tls,
                permitted=permitted,
                on_sent=used.extend,
            )
            end = "ended"
        except SecretLeakError:
            end = "leak"
            structlog.get_logger().warning(
                "secret_came_back", agent=self._door.agent, turn_id=self._log.turn_id, host=host, secrets=used
            )
            raise
        finally:
            await self._log.add_last("secret_sent", host=host, port=port, method=method, secrets=used, end=end)

    def _why_not(self, host: str, port: int, method: str, path: str) -> str:
        """Say which of the door's rules of now keeps a request from a host, or ''."""
        return why_not(self._door.rules, host, port, method, path)
