"""KeyPool: which of a provider's keys is taken, by the strategy that Hermes' config names, and how long one rests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import SystemRandom

from hermes_iso.hermes.resolved import PoolKey, Strategy

KEY_STATUSES = frozenset({401, 402, 429})
"""Statuses of a provider that are about the key, so that another may help."""
_REST: dict[int, float] = {401: 300.0}
_LONG_REST = 3600.0
"""Seconds that a key is left alone after such a status where the provider does not say: as long as Hermes does."""


class KeyPool:
    """The keys of one model of one agent. `clock` gives Unix time."""

    def __init__(self, keys: Sequence[PoolKey], strategy: Strategy, clock: Callable[[], float]) -> None:
        self._order = [each.key for each in keys]
        self._until = {each.key: each.until for each in keys}
        self._strategy = strategy
        self._clock = clock
        self._used: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._order)

    @property
    def keys(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self._order)

    def take(self) -> list[str]:
        """Return the keys for one request, in the order in which they are to be tried.

        Those that rest come last, the one that rests shortest first: a refusal of the provider's tells more than none.
        """
        now = self._clock()
        fit = [key for key in self._order if self._until[key] <= now]
        resting = sorted((key for key in self._order if self._until[key] > now), key=self._until.__getitem__)
        if self._strategy == "random":
            SystemRandom().shuffle(fit)
        elif self._strategy == "least_used":
            fit.sort(key=self._used.__getitem__)
        elif self._strategy == "round_robin" and fit:
            self._order = [*(key for key in self._order if key != fit[0]), fit[0]]
        return fit + resting

    def used(self, key: str) -> None:
        """Count a request with a key."""
        self._used[key] += 1

    def failed(self, key: str, status: int, retry_after: float | None) -> None:
        """Let a key rest after a status that is about it. retry_after: seconds, where the provider says so."""
        rest = _REST.get(status, _LONG_REST) if retry_after is None else retry_after
        self._until[key] = self._clock() + rest

    def inherit(self, former: KeyPool) -> None:
        """Take over what is known of those keys that an earlier pool of the same model had as well."""
        self._used = former._used
        for key in self._until.keys() & former._until.keys():
            self._until[key] = max(self._until[key], former._until[key])
        if set(self._order) == set(former._order):
            self._order = former._order
