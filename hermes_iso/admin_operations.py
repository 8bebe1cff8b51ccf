"""What an operator may ask of a running gateway besides turns: how it is, to read its home again, to drain and end."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

import trio

from hermes_iso.generation import Change, Generation
from hermes_iso.reload import LastReload
from hermes_iso_sandbox.cgroups import find
from hermes_iso_sandbox.enforcement import not_bounded

JsonObject = dict[str, Any]


class Controlled(Protocol):
    """What the operations ask of the gateway."""

    @property
    def generation(self) -> Generation:
        """What is served now."""

    @property
    def last_reload(self) -> LastReload | None:
        """How the latest reload went."""

    @property
    def started(self) -> float:
        """Unix time at which it was opened."""

    def statistics(self) -> Mapping[str, Any]:
        """Return counts of the whole gateway."""

    def turns_of(self, agent: str) -> int:
        """Return how many turns of an agent run now."""

    async def reload(self, why: str) -> Change:
        """Serve what the home says now."""

    def stop(self) -> None:
        """Drain and end."""


async def status(gateway: Controlled) -> JsonObject:
    """Return how the gateway is. Nothing in it is secret."""
    generation, counts = gateway.generation, gateway.statistics()
    config, last = generation.config, gateway.last_reload
    return {
        "home": str(config.home),
        "pid": os.getpid(),
        "uptime_s": round(time.time() - gateway.started, 1),
        "draining": counts["draining"],
        "generation": generation.number,
        "generation_age_s": round(time.time() - generation.began, 1),
        "reload_on_change": config.reload_on_change,
        "last_reload": None if last is None else {**asdict(last), "problems": list(last.problems)},
        "agents": [
            {"id": agent.id, "default": agent.id == config.default_agent, "turns": gateway.turns_of(agent.id)}
            for agent in config.agents.values()
        ],
        "not_served": dict(config.not_served),
        "turns": {"running": counts["turns"], "queued": counts["queued"]},
        "pool": counts["pool"],
        "hooks": counts["hooks"],
        "chats": counts["chats"],
        "not_bounded": await trio.to_thread.run_sync(lambda: not_bounded(find())),
        "warnings": list(config.warnings),
    }


async def reload(gateway: Controlled) -> JsonObject:
    """Reload and return what changed. Raises what Gateway.reload raises."""
    return (await gateway.reload("command")).as_json()


async def drain(gateway: Controlled) -> JsonObject:
    """Have the gateway drain and end, and return at once. Raises UsageError when it can't be ended so."""
    gateway.stop()
    counts = gateway.statistics()
    return {"draining": True, "turns": {"running": counts["turns"], "queued": counts["queued"]}}


OPERATIONS: Mapping[str, Callable[[Controlled], Awaitable[JsonObject]]] = {"status": status, "reload": reload, "drain": drain}
"""What a request's `op` may name, besides chat and exec."""
