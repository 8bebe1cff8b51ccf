"""The gateway in the foreground: from the open gateway to its drain, with the signals that steer it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import trio

from hermes_iso.api.server import serve_api
from hermes_iso.config.schema import Config
from hermes_iso.errors import HermesIsoError
from hermes_iso.gateway import Gateway, open_gateway
from hermes_iso.reload import Controls
from hermes_iso_sandbox.errors import SandboxError


async def serve_until_signal(config: Config, load: Callable[[], Config], announce: Callable[[str], None]) -> None:
    """Serve, and announce the URL; the first signal drains, the second ends what still runs. `load` reads the home again."""
    controls = Controls(load, trio.Event())
    wishes, wished = trio.open_memory_channel[None](1)
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, controls.stop, wishes, nursery.cancel_scope)
            await _serve(config, announce, controls, wished)
            nursery.cancel_scope.cancel()


async def _watch(
    signals: AsyncIterator[int], stop: trio.Event, wishes: trio.MemorySendChannel[None], scope: trio.CancelScope
) -> None:
    """Take SIGHUP as a wish to reload, the first other signal as a wish to stop, and a further one as impatience."""
    async for number in signals:
        if number == signal.SIGHUP:
            with suppress(trio.WouldBlock):  # one that waits already covers this one
                wishes.send_nowait(None)
            continue
        if stop.is_set():
            scope.cancel()
        stop.set()


async def _serve(
    config: Config, announce: Callable[[str], None], controls: Controls, wished: trio.MemoryReceiveChannel[None]
) -> None:
    """Open the gateway and its API, say so, and take turns until told to stop; then let those that run end."""
    async with open_gateway(config, controls=controls) as gateway, trio.open_nursery() as nursery:
        url = "-" if config.api is None else await nursery.start(serve_api, gateway, config.api)
        nursery.start_soon(_reload_when_wished, gateway, wished)
        announce(url)
        await controls.stop.wait()
        await gateway.drain()
        nursery.cancel_scope.cancel()


async def _reload_when_wished(gateway: Gateway, wished: trio.MemoryReceiveChannel[None]) -> None:
    """Reload at each wish; what a reload refuses is in the log."""
    async for _ in wished:
        with suppress(HermesIsoError, SandboxError):
            await gateway.reload("SIGHUP")
