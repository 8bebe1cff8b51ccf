"""HermesModels: what each Hermes agent's profile means in models, asked of Hermes itself, and known until a file changes.

The helper costs a second, so its answer is kept for as long as the files that decide are the same and no login of it ends. A
failure is kept as well: the next turn after a correction asks anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog
import trio

from hermes_iso.errors import ModelError
from hermes_iso.hermes.asking import ask_hermes
from hermes_iso.hermes.key_pool import KeyPool
from hermes_iso.hermes.model_inside import config_sections
from hermes_iso.hermes.profile import HermesProfile
from hermes_iso.hermes.resolved import OFFLINE, HermesModel, Resolved, ResolverFaultError, Unusable, read_answer
from hermes_iso.hermes.tokens import locked, login_hosts, write_back
from hermes_iso_sandbox.errors import SandboxError

RENEW_BEFORE = 120.0
"""Seconds before a login's token ends at which it is renewed."""
RETRY_AFTER = 5.0
"""Seconds for which a failure of the helper itself is taken for granted."""
CHOSEN = 16
"""Most names of chosen models that are remembered for a profile."""
AT_ONCE = 2
"""Helpers at a time: each is busy for about a second."""


class Asks(Protocol):
    """Asks the helper; `asking.ask_hermes` does."""

    async def __call__(self, python: Any, question: Mapping[str, Any], *, logins: Any = (), resolve: Any = None) -> bytes:
        """Return its answer. Raises ResolverFaultError."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a profile. pools: by what a model is for. written: the config that decided.

    chosen: the same with another main model, by the names that sessions chose.
    """

    resolved: Resolved
    pools: Mapping[str, KeyPool] = field(repr=False)
    written: Mapping[str, Any] = field(repr=False)
    chosen: dict[str, Known] = field(default_factory=dict, repr=False)

    @property
    def main(self) -> HermesModel:
        """The main model."""
        assert isinstance(self.resolved.main, HermesModel)
        return self.resolved.main

    def sections(self) -> dict[str, Any]:
        """Return the sections about models of the config.yaml inside."""
        return config_sections(self.resolved, self.written)


@dataclass(slots=True)
class _Entry:
    """The state of one profile. until: Unix time up to which `known` or `error` holds for the same `identity`."""

    lock: trio.Lock = field(default_factory=trio.Lock)
    identity: tuple[object, ...] | None = None
    known: Known | None = None
    error: str = ""
    until: float = float("inf")


class HermesModels:
    """One per gateway. `clock` gives Unix time."""

    def __init__(self, ask: Asks = ask_hermes, clock: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._limiter = trio.CapacityLimiter(AT_ONCE)
        self._log = structlog.get_logger()

    async def of(self, profile: HermesProfile, chosen: str = "") -> Known:
        """Return what a profile means now. Raises ModelError with one sentence when it has no main model that can be used.

        chosen: a model that a session has in place of the main one, by the name that Hermes' /model would take.
        """
        known = await self._of(profile)
        if not chosen:
            return known
        async with self._entries[profile.id].lock:
            if chosen not in known.chosen:
                known.chosen[chosen] = await self._chosen(profile, chosen, known)
                while len(known.chosen) > CHOSEN:
                    del known.chosen[next(iter(known.chosen))]
            return known.chosen[chosen]

    async def _of(self, profile: HermesProfile) -> Known:
        """Return what a profile means now. Raises ModelError."""
        entry = self._entries.setdefault(profile.id, _Entry())
        async with entry.lock:
            identity = await trio.to_thread.run_sync(profile.identity)
            if entry.identity != identity or self._clock() >= entry.until:
                await self._learn(entry, profile)
        if entry.known is None:
            raise ModelError("config", f"{entry.error}.")
        main = entry.known.resolved.main
        if isinstance(main, Unusable):
            kind = "auth" if main.kind == "missing" else "config"
            raise ModelError(kind, f"{_sentence(main, profile)}.")
        return entry.known

    async def _chosen(self, profile: HermesProfile, name: str, known: Known) -> Known:
        """Return what a profile means with another main model. Raises ModelError."""
        try:
            resolved, _ = await self._resolve(profile, name)
        except (ResolverFaultError, SandboxError) as error:
            raise ModelError("config", f"The models of agent {profile.id} can't be told: {str(error).rstrip('.')}.") from error
        if isinstance(resolved.main, Unusable):
            text = f"No model {name!r} can be used: {resolved.main.sentence}; /model default goes back."
            raise ModelError("config", text)
        resolved = replace(known.resolved, main=resolved.main)
        return Known(resolved, self._pools(resolved, known), known.written)

    def login_refused(self, profile: HermesProfile) -> None:
        """Ask anew before the next turn: a provider has refused the token of a login."""
        if entry := self._entries.get(profile.id):
            entry.until = 0.0

    def keep_only(self, names: Iterable[str]) -> None:
        """Forget every agent that is not served any more."""
        wanted = set(names)
        for name in [name for name in self._entries if name not in wanted]:
            del self._entries[name]

    async def _learn(self, entry: _Entry, profile: HermesProfile) -> None:
        """Ask the helper and remember what it says."""
        former = entry.known
        try:
            resolved, written = await self._resolve(profile)
        except (ResolverFaultError, SandboxError) as error:
            entry.known, entry.error = None, f"The models of agent {profile.id} can't be told: {str(error).rstrip('.')}"
            entry.until = self._clock() + RETRY_AFTER
        else:
            entry.known = Known(resolved, self._pools(resolved, former), written)
            ends = resolved.expires_at
            entry.until = max(ends - RENEW_BEFORE, self._clock() + RETRY_AFTER) if ends else float("inf")
        entry.identity = await trio.to_thread.run_sync(profile.identity)

    async def _resolve(self, profile: HermesProfile, model: str = "") -> tuple[Resolved, Mapping[str, Any]]:
        """Return what the helper says, and the config that it was told. Raises ResolverFaultError, SandboxError."""
        _, written = await trio.to_thread.run_sync(profile.config)
        if profile.is_offline(written) and not model:
            return Resolved(OFFLINE), written
        async with self._limiter, locked(profile.token_files):
            question = await trio.to_thread.run_sync(profile.question, model)
            tokens = {name: question["files"][name] for name in profile.token_files if name in question["files"]}
            logins = login_hosts(tokens)
            answer = await self._ask(profile.python, question, logins=logins, resolve=profile.resolve)
            resolved = read_answer(answer)
            for path in await trio.to_thread.run_sync(write_back, profile.token_files, tokens, resolved.tokens):
                self._log.info("hermes_login_renewed", agent=profile.id, file=str(path))
            return resolved, written

    def _pools(self, resolved: Resolved, former: Known | None) -> dict[str, KeyPool]:
        """Return the pools of keys, with what is known of them already. Models that share keys share what is known."""
        pools: dict[tuple[object, ...], KeyPool] = {}
        found: dict[str, KeyPool] = {}
        for name, model in resolved.named.items():
            shared = (model.base_url, tuple(sorted(each.key for each in model.keys)), model.strategy)
            if shared not in pools:
                pools[shared] = KeyPool(model.keys, model.strategy, self._clock)
                if former and name in former.pools:
                    pools[shared].inherit(former.pools[name])
            found[name] = pools[shared]
        return found


def _sentence(found: Unusable, profile: HermesProfile) -> str:
    """Return why a main model can't be used, and where to mend it."""
    where = f"{profile.home}/.env" if found.kind == "missing" else f"model in {profile.home}/config.yaml"
    return f"The model of agent {profile.id} can't be used: {found.sentence}; see {where}"
