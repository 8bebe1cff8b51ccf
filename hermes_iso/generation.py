"""Generations: the config as it is served, with what is compiled from it; who uses which, and how two of them differ.

A message takes the current generation at its start and uses that to its end, so a turn never sees half of a change. What an
older generation alone has (an agent's database, its sandbox) is let go once nobody holds one that old any more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import trio

from hermes_iso.config.schema import ApiSettings, Config
from hermes_iso.errors import UsageError
from hermes_iso.routing import Router


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """One config as it is served. `began` is Unix time."""

    number: int
    config: Config
    router: Router
    began: float

    @staticmethod
    def of(config: Config, number: int) -> Generation:
        """Compile a config; with many routes that takes a while."""
        return Generation(number, config, Router(config), time.time())


class Generations:
    """The current generation, and how many messages use each."""

    def __init__(self, config: Config) -> None:
        self.current = Generation.of(config, 1)
        self._holders: Counter[Generation] = Counter()
        self._released = trio.Event()

    @contextmanager
    def hold(self) -> Iterator[Generation]:
        """Give the current generation, and count its user until the body ends."""
        generation = self.current
        self._holders[generation] += 1
        try:
            yield generation
        finally:
            self._holders[generation] -= 1
            if not self._holders[generation]:
                del self._holders[generation]
                self._released.set()
                self._released = trio.Event()

    async def wait_none_before(self, number: int) -> None:
        """Wait until nobody uses a generation older than `number`."""
        while any(each.number < number for each in self._holders):
            await self._released.wait()

    def in_use(self) -> list[Generation]:
        """Return the current generation, and the older ones that somebody uses."""
        return list({self.current, *self._holders})


@dataclass(frozen=True, slots=True)
class Change:
    """What a reload changed: agents by name, how many routes came and went, and what it can't change.

    restart: a sentence for each setting that counts only from the next start on.
    """

    number: int
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    routes_added: int
    routes_removed: int
    restart: tuple[str, ...]
    not_served: Mapping[str, str]
    warnings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the object that `reload --json` prints."""
        return {
            "generation": self.number,
            "agents": {"added": list(self.added), "changed": list(self.changed), "removed": list(self.removed)},
            "routes": {"added": self.routes_added, "removed": self.routes_removed},
            "needs_restart": list(self.restart),
            "not_served": dict(self.not_served),
            "warnings": list(self.warnings),
        }


def change_between(old: Config, new: Generation, restart: tuple[str, ...]) -> Change:
    """Return how a generation differs from the config before it. Where in a file a route stands makes no difference."""
    config = new.config
    before, after = _routes(old), _routes(config)
    return Change(
        number=new.number,
        added=tuple(name for name in config.agents if name not in old.agents),
        changed=tuple(name for name, agent in config.agents.items() if name in old.agents and agent != old.agents[name]),
        removed=tuple(name for name in old.agents if name not in config.agents),
        routes_added=(after - before).total(),
        routes_removed=(before - after).total(),
        restart=restart,
        not_served=config.not_served,
        warnings=config.warnings,
    )


def fitted(running: Config, wanted: Config) -> tuple[Config, tuple[str, ...]]:
    """Return a config as a running gateway can serve it, and a sentence for each setting that needs a restart.

    The API goes on listening where it listens; one that was switched off opens to no key from now on. Raises UsageError
    when the home itself has moved.
    """
    if wanted.home != running.home:
        raise UsageError(f"The home leads to {wanted.home} now, and this gateway serves {running.home}: restart it.")
    api, restart = _fitted_api(running.api, wanted.api)
    old, new = running.host_uids, wanted.host_uids
    if old != new:
        restart = (*restart, _later("gateway.host_uids", f"{old.start}-{old.stop - 1}", f"{new.start}-{new.stop - 1}"))
    if (running.hooks, running.hook_timeout) != (wanted.hooks, wanted.hook_timeout):
        restart = (*restart, "hooks: those of the start are called until a restart")
    hooks, hook_timeout = running.hooks, running.hook_timeout
    return replace(wanted, api=api, host_uids=old, hooks=hooks, hook_timeout=hook_timeout), restart


def _fitted_api(old: ApiSettings | None, new: ApiSettings | None) -> tuple[ApiSettings | None, tuple[str, ...]]:
    """Return the API as it can be served on the socket that there is: a Host header is compared with what is bound."""
    if old is None:
        return None, () if new is None else ("platforms.api_server.enabled: the API is not served before a restart",)
    if new is None:
        off = "platforms.api_server.enabled: the API listens until a restart, and takes no key any more"
        return replace(old, keys=()), (off,)
    restart = tuple(
        _later(f"platforms.api_server.extra.{name}", getattr(old, name), getattr(new, name))
        for name in ("host", "port")
        if getattr(old, name) != getattr(new, name)
    )
    return replace(new, host=old.host, port=old.port), restart


def _later(key: str, old: object, new: object) -> str:
    return f"{key}: {old} until a restart, then {new}"


def _routes(config: Config) -> Counter[object]:
    """Return the rules of every format without their places in the file."""
    return Counter(replace(rule, where="") for rule in (*config.routes, *config.bindings))
