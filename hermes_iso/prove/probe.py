"""Probe: one attack as data, and what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Category = Literal[
    "env",
    "fs",
    "process",
    "network",
    "kernel",
    "resource",
    "persist",
    "tenant",
    "protocol",
    "policy",
    "operator",
    "door",
    "credential",
]
Verdict = Literal["passed", "failed", "skipped", "found", "blind"]
"""passed, failed: the attack was stopped, or not. found, blind: in the self-test the probe saw the hole, or not."""
HostAttack: TypeAlias = Callable[[Any], Awaitable[str]]
"""An attack that the host drives: takes the Trial, returns what got through, "" when nothing did. Raises BrokenProbeError."""

HOST_LAYERS = frozenset({"view", "environment", "limits", "grant", "tenant", "session", "egress", "credential"})
"""Layers that the suite switches off by another Confinement or session name (see `weakened`), or config (see `stage`).

Others are the sandbox's own."""


class BrokenProbeError(Exception):
    """A probe could not do what it is for: its control failed. Never a pass."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One attack.

    id: the catalogue's, or a number after its last in the category's letter. tries: what it tries, in a few words.
    attack: guest code (see `prelude` for what is in scope), or a coroutine that drives turns and judges from the host.
    without: the layers that stop it, all switched off in the self-test.
    planted: guest code that the self-test runs before `attack` where no layer can be switched off: it plays the hole.
    limit: what this machine must be able to keep for this probe to mean anything: a limit, landlock, or a certificate.
    alone: whether it disturbs others that run beside it.
    """

    id: str
    category: Category
    tries: str
    attack: str | HostAttack
    without: frozenset[str] = frozenset()
    planted: str = ""
    limit: str = ""
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one probe. `evidence` is one line that can be shown."""

    probe: Probe
    verdict: Verdict
    evidence: str = ""


def layers(*names: str) -> frozenset[str]:
    """Return a set of layers."""
    return frozenset(names)
