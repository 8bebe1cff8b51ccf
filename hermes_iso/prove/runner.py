"""Run probes against this installation, a few at a time, and say of each what came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby

import trio

from hermes_iso.prove.probe import BrokenProbeError, Probe, Result, Verdict
from hermes_iso.prove.stage import Stage, new_secret, open_stage
from hermes_iso.prove.trial import Trial, evidence

AT_ONCE = 6
"""Probes that run at a time."""
STAGES_AT_ONCE = 2
"""Stages that the self-test has open at a time."""
PROBE_TIMEOUT = 40.0
"""Seconds that one probe may take."""


class _Places:
    """How many probes run at a time; one that disturbs others has the stage for itself."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._limiter = trio.CapacityLimiter(count)
        self._door = trio.Lock()

    @asynccontextmanager
    async def place(self, *, alone: bool) -> AsyncIterator[None]:
        """Hold one place, or all of them."""
        places = [object() for _ in range(self._count if alone else 1)]
        async with self._door:
            for each in places:
                await self._limiter.acquire_on_behalf_of(each)
        try:
            yield
        finally:
            for each in places:
                self._limiter.release_on_behalf_of(each)


async def prove(
    probes: Sequence[Probe], *, secret: str, agents: int = 2, unbounded: Mapping[str, str] | None = None, strict: bool = False
) -> list[Result]:
    """Run probes as turns of `agents` throw-away agents with every layer on; return their results in order.

    unbounded: limits that this machine can't enforce, with the reason; their probes are skipped, or fail when `strict`.
    secret: the canary, which the caller has put into its own environment as CANARY_NAME.
    Raises UnsupportedSandboxError, UsageError.
    """
    async with open_stage(secret, count=agents) as stage:
        return await _run_all(probes, stage, unbounded=unbounded or {}, strict=strict)


async def self_test(
    probes: Sequence[Probe], *, secret: str, agents: int = 2, unbounded: Mapping[str, str] | None = None, strict: bool = False
) -> list[Result]:
    """Run each probe with the layers that it tests switched off: it is `found` when it reports the hole, else `blind`."""
    found: dict[str, Result] = {}
    ordered = sorted(probes, key=lambda probe: sorted(probe.without))
    limiter = trio.CapacityLimiter(STAGES_AT_ONCE)

    async def one_stage(layers: frozenset[str], group: list[Probe]) -> None:
        async with limiter, open_stage(secret, count=agents, layers=layers) as stage:
            results = await _run_all(group, stage, unbounded=unbounded or {}, strict=strict, self_test=True)
        found.update({result.probe.id: result for result in results})

    async with trio.open_nursery() as nursery:  # a failure of one stage ends the others
        for names, group in groupby(ordered, key=lambda probe: sorted(probe.without)):
            nursery.start_soon(one_stage, frozenset(names), list(group))
    return [found[probe.id] for probe in probes]


async def _run_all(
    probes: Sequence[Probe], stage: Stage, *, unbounded: Mapping[str, str], strict: bool, self_test: bool = False
) -> list[Result]:
    """Run probes on an open stage, spread over its agents."""
    results: dict[str, Result] = {}
    unbounded = {**unbounded, **stage.hosts.missing}
    places = _Places(AT_ONCE)

    async def one(number: int, probe: Probe) -> None:
        reason = unbounded.get(probe.limit)
        if reason is not None:
            absent: Verdict = "failed" if strict else "skipped"
            results[probe.id] = Result(probe, absent, f"{probe.limit} is {reason}")
            return
        async with places.place(alone=probe.alone):
            results[probe.id] = await run_probe(probe, _trial(probe, stage, number, self_test), self_test=self_test)

    async with trio.open_nursery() as nursery:
        for number, probe in enumerate(probes):
            nursery.start_soon(one, number, probe)
    return [results[probe.id] for probe in probes]


def _trial(probe: Probe, stage: Stage, number: int, self_test: bool) -> Trial:
    """Return a probe's run: as the next agent in turn, with the one after it as its peer."""
    me, peer = (stage.agents[place % len(stage.agents)] for place in (number, number + 1))
    mark = f"{probe.id.lower()}-{new_secret().removeprefix('canary-')}"
    return Trial(stage, me, peer, mark, probe.planted if self_test else "")


async def run_probe(probe: Probe, trial: Trial, *, self_test: bool) -> Result:
    """Run one probe. Whatever goes wrong is a failure, and never a pass."""
    through = broken = ""
    try:
        with trio.fail_after(PROBE_TIMEOUT):
            attack = probe.attack
            through = evidence(await trial.attack(attack)) if isinstance(attack, str) else await attack(trial)
    except BrokenProbeError as error:
        broken = str(error)
    except trio.TooSlowError:
        broken = f"it took longer than {PROBE_TIMEOUT:g} s"
    except Exception as error:  # noqa: BLE001  # a probe that crashes must neither pass nor stop the others
        broken = f"{type(error).__name__}: {error}"
    text = one_line(f"the probe itself failed: {broken}" if broken else through)
    if self_test:
        return Result(probe, "found" if through else "blind", text)
    return Result(probe, "failed" if text else "passed", text)


def one_line(text: str, length: int = 200) -> str:
    """Return a text that a guest had a hand in as one short line: what can't be printed is spelled out."""
    line = "".join(each if each.isprintable() else each.encode("unicode_escape", "replace").decode() for each in text)
    return line if len(line) <= length else f"{line[: length - 1]}…"
