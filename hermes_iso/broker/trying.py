"""Trying: asks one model after the other, each again after failures that may pass: how every question finds its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import SystemRandom
from typing import TypeVar

import trio

from hermes_iso.broker.calls import ModelLimits
from hermes_iso.broker.faults import TransientError
from hermes_iso.errors import ModelError

C = TypeVar("C")
"""Whom to ask, or what: a call, or the settings of a model."""
T = TypeVar("T")


def full_jitter(ceiling: float) -> float:
    """Return a random wait up to `ceiling`, in seconds: callers that failed together must not come back together."""
    return SystemRandom().uniform(0.0, ceiling)


def not_begun() -> bool:
    """Say that nothing of an answer was handed on: what holds for who hands on only what is good."""
    return False


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a model is asked for one answer, and how long is waited between."""

    limits: ModelLimits
    jitter: Callable[[float], float] = full_jitter

    async def first_answer(
        self,
        candidates: Iterable[C],
        ask: Callable[[C], Awaitable[T]],
        *,
        deadline: float,
        begun: Callable[[], bool] = not_begun,
    ) -> T:
        """Return the first good answer of candidates. Raises ModelError: what the first of them said.

        ask: one request to one model; raises TransientError where another try may help, else ModelError. deadline: by trio's
        clock; no wait goes beyond it. begun: whether some of an answer was handed on; then nobody else is asked.
        """
        first: ModelError | None = None
        for candidate in candidates:
            try:
                return await self._ask(candidate, ask, deadline, begun)
            except ModelError as error:
                first = first or error
                if error.kind == "refused" or begun():  # it is the question that is wrong, or too late
                    break
        assert first is not None, "there is somebody to ask"
        raise first

    async def _ask(
        self,
        candidate: C,
        ask: Callable[[C], Awaitable[T]],
        deadline: float,
        begun: Callable[[], bool],
    ) -> T:
        """Ask one model, and again after failures that may pass. Raises ModelError."""
        number = 1
        while True:
            try:
                return await ask(candidate)
            except TransientError as failure:
                wait = self._wait_before(number, failure.error)
                if begun() or wait is None or trio.current_time() + wait >= deadline:
                    raise failure.error from failure
            await trio.sleep(wait)
            number += 1

    def _wait_before(self, number: int, error: ModelError) -> float | None:
        """Return the seconds to wait after try `number`, or None when there is to be no other."""
        if number >= self.limits.tries:
            return None
        ceiling = min(self.limits.backoff_cap, self.limits.backoff * 2 ** (number - 1))
        asked = error.retry_after
        if asked is None:
            return self.jitter(ceiling)
        return asked + self.jitter(min(ceiling, asked)) if asked <= self.limits.retry_after_cap else None
