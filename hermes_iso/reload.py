"""Reloader: read the home again and serve what it says now, or change nothing and say why.

All that can fail comes before the swap: reading and checking every file (in a thread, because disks are slow), compiling the
routes, opening the databases of new agents. The swap itself is one assignment. What follows it can only be late, not wrong:
sandboxes of new and changed agents are made ahead, those of removed ones end. A sandbox that still has a turn of an older
generation in it ends with that turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from hermes_iso.config.schema import Config
from hermes_iso.errors import ConfigError, HermesIsoError
from hermes_iso.generation import Change, Generation, Generations, change_between, fitted
from hermes_iso.leases import warm_ahead
from hermes_iso.services import Services
from hermes_iso_sandbox.errors import SandboxError


@dataclass(frozen=True, slots=True)
class Controls:
    """What whoever started a gateway lets others do with it.

    load: reads the home again and checks that it can be served; called in a thread. stop: set to have it drain and end.
    """

    load: Callable[[], Config]
    stop: trio.Event


@dataclass(frozen=True, slots=True)
class LastReload:
    """How the latest reload went: `at` is Unix time, `why` its trigger, `problems` every reason why it was refused."""

    at: float
    why: str
    problems: tuple[str, ...] = ()


class Reloader:
    """Reloads one gateway, one reload at a time."""

    def __init__(self, services: Services, generations: Generations) -> None:
        self.last: LastReload | None = None
        self._services = services
        self._generations = generations
        self._lock = trio.Lock()
        self._log = structlog.get_logger()

    async def reload(self, load: Callable[[], Config], *, why: str) -> Change:
        """Serve what the home says now; returns what that changed. Cancelling leaves either all of it or nothing.

        Raises HermesIsoError (a ConfigError has every reason), SandboxError; then nothing has changed.
        """
        async with self._lock:
            try:
                change = await self._swap(load)
            except (HermesIsoError, SandboxError) as error:
                problems = error.problems if isinstance(error, ConfigError) else [error]
                self._note(why, *map(str, problems))
                raise
            except Exception as error:
                self._log.exception("reload_crashed", trigger=why)
                failure = HermesIsoError("Something went wrong in the gateway; its log says what.")
                self._note(why, str(failure))
                raise failure from error
            self.last = LastReload(time.time(), why)
            self._log.info("reloaded", trigger=why, **change.as_json())
            return change

    def _note(self, why: str, *problems: str) -> None:
        """Remember and log why nothing has changed."""
        self.last = LastReload(time.time(), why, problems)
        self._log.error("reload_refused", trigger=why, generation=self._generations.current.number, problems=problems)

    async def _swap(self, load: Callable[[], Config]) -> Change:
        """Make the next generation and let it take over."""
        old = self._generations.current

        def make() -> tuple[Generation, Change]:
            config, restart = fitted(old.config, load())
            new = Generation.of(config, old.number + 1)
            return new, change_between(old.config, new, restart)

        new, change = await trio.to_thread.run_sync(make)
        await self._services.records.databases.open(new.config.agents)
        self._generations.current = new
        self._services.slots.resize(new.config.max_concurrent)
        if self._services.doors is not None:
            self._services.doors.use(new.config)
        if self._services.served_chats is not None:
            self._services.served_chats.use(new.config)
        self._services.background.start_soon(self._settle, old, new, (*change.added, *change.changed))
        return change

    async def _settle(self, old: Generation, new: Generation, fresh: Iterable[str]) -> None:
        """Make the sandboxes of new and changed agents, and let go of what no generation has any more."""
        try:
            await self._replace(old, new, fresh)
        except Exception:  # noqa: BLE001  # what is left open by this does no harm, and the gateway goes on
            self._log.exception("reload_not_settled", generation=new.number)

    async def _replace(self, old: Generation, new: Generation, fresh: Iterable[str]) -> None:
        gone = _homes(old.config) - _homes(new.config)
        await self._retire(gone)
        await warm_ahead(self._services.pool, [new.config.agents[name] for name in fresh], self._services.hermes.ready)
        await self._generations.wait_none_before(new.number)
        async with self._lock:  # a reload that is under way has opened what nobody uses yet
            used = [each.config for each in self._generations.in_use()]
            # A turn that began under the old generation may have made such a sandbox again.
            await self._retire(gone.difference(*map(_homes, used)))
            await self._services.records.databases.close_all_but({name for config in used for name in config.agents})

    async def _retire(self, homes: Iterable[Path]) -> None:
        """End the sandboxes of homes that are not served any more, each with its last turn."""
        for home in homes:
            await self._services.pool.retire(home)


def _homes(config: Config) -> set[Path]:
    """Return the homes that a config serves."""
    return {agent.profile.home for agent in config.agents.values()}
