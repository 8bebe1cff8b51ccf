"""PooledSender: sends a request with the key whose turn it is, and with the next one where a provider refuses that."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace

from hermes_iso.agents import ModelSettings
from hermes_iso.broker.faults import Provider, retry_after
from hermes_iso.broker.http_client import HttpResponse
from hermes_iso.broker.model_host.endpoints import key_headers
from hermes_iso.broker.trying import Patience
from hermes_iso.broker.upstream import Sender
from hermes_iso.hermes.key_pool import KEY_STATUSES, KeyPool


class PooledSender:
    """Sends for one model."""

    def __init__(self, sender: Sender, settings: ModelSettings, pool: KeyPool) -> None:
        self._sender = sender
        self._settings = settings
        self._pool = pool

    @property
    def tls(self) -> ssl.SSLContext:
        """By what hosts are trusted."""
        return self._sender.tls

    @property
    def patience(self) -> Patience:
        """How often models are asked, within which bounds."""
        return self._sender.patience

    async def send(self, url: str, headers: Mapping[str, str], content: bytes, *, who: Provider) -> HttpResponse:
        """Post a request and return the answer once its head is there: of the first key that is not refused, or of the last.

        Raises TransientError, ModelError.
        """
        keys = self._pool.take()
        for number, key in enumerate(keys, 1):
            self._pool.used(key)
            keyed = {**headers, **key_headers(replace(self._settings, api_key=key))}
            response = await self._sender.send(url, keyed, content, who=who)
            status = response.status
            if status not in KEY_STATUSES:
                return response
            if len(keys) > 1:
                self._pool.failed(key, status, retry_after(response.headers))
            if number == len(keys):
                return response
            response.close()
        raise AssertionError("a pool without keys sends nothing")
