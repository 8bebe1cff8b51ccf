"""Sends one request on to a secret's host, with the secrets put in, and its answer back, with none in it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence

import h11

from hermes_iso.broker.egress.door import Door, LocalExchange
from hermes_iso.broker.egress.relays import exchange, forwarded
from hermes_iso.broker.injection.inspecting import SecretInspector
from hermes_iso.broker.injection.tls import open_tls
from hermes_iso.broker.injection.values import value_of
from hermes_iso.credentials import Secret, with_secrets

TLS_PORT = 443


async def send_with_secrets(
    client: LocalExchange,
    secrets: Sequence[Secret],
    *,
    door: Door,
    port: int,
    path: str,
    tls: ssl.SSLContext,
    permitted: Callable[[], str],
    on_sent: Callable[[tuple[str, ...]], None],
) -> None:
    """Send a request on; `secrets` are those of its host, of which the ones that it names are put in and told to `on_sent`.

    Raises NoWayError: SecretLeakError when the answer carried one of them back.
    """
    host = secrets[0].host
    known = [(secret, await value_of(secret)) for secret in secrets]
    authority = host if port == TLS_PORT else f"{host}:{port}"
    head = forwarded(client.request, authority, path)
    headers, used = with_secrets(head.headers, known)
    # What is compressed can't be looked into; and no answer carries back what was not sent to anybody, so all are looked for.
    headers = [(name, value) for name, value in headers if name != b"accept-encoding"]
    head = h11.Request(method=head.method, target=head.target, headers=[*headers, (b"accept-encoding", b"identity")])
    written = [secret.written(value).rpartition(b" ")[2] for secret, value in known]
    inspector = SecretInspector((value for _, value in known), written, permitted)
    async with open_tls(door.dialer, host, port, tls) as upstream:
        on_sent(used)
        await exchange(client, head, upstream, inspector, silence=door.limits.idle_timeout)
