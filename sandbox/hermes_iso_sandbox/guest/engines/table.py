"""The engines by their names, and how a turn process gets the one that its sandbox is for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import echo, hooks, native, probe
from hermes_iso_sandbox.guest.engines.hermes.engine import HermesEngine
from hermes_iso_sandbox.guest.link import Link

TakeTurn: TypeAlias = Callable[[wire.TurnRequest, Link], wire.TurnDone]
ENGINES: Mapping[str, TakeTurn] = {
    "native": native.take_turn,
    "hooks": hooks.take_turn,
    "echo": echo.take_turn,
    "probe": probe.take_turn,
}


def ready_engines(
    engine: str, settings: str, cwd: str, own_env: dict[str, str], proxies: dict[str, str]
) -> Mapping[str, TakeTurn]:
    """Return the engines that a turn process has, that of its own sandbox made ready.

    proxies: what says where the door is, behind which nobody listens before the turn has begun.
    """
    if not engine:
        return ENGINES
    os.environ.update(own_env)
    os.chdir(cwd)
    return {**ENGINES, engine: HermesEngine(settings, proxies).take_turn}
