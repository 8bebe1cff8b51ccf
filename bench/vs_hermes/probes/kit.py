"""What a probe is, and what it can find: LEAK, held, or not run because its own control did not hold."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx
import trio

from bench.vs_hermes.sides import Side, SideError

A, B = "alice", "bob"
"""Who attacks, and who is attacked."""
LEAK, HELD, NOT_RUN = "LEAK", "held", "not run"
_EVIDENCE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found, with the words of the answers that show it."""

    verdict: str
    evidence: str


class NotRunError(Exception):
    """What a probe needs in order to mean something is not there: neither a leak nor its absence was seen."""


def why_not_run(error: BaseException) -> str:
    """Return in a sentence why a probe or an attack could not be made; raise what has another reason."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, NotRunError):
        return str(error)
    if isinstance(error, SideError | httpx.HTTPError | trio.TooSlowError):
        return f"{type(error).__name__}: {error}"
    raise error


@dataclass(frozen=True, slots=True)
class Probe:
    """One question about a side: `what` says which leak it looks for.

    slow: takes many seconds. ends: may end the gateway, so nothing may come after it.
    """

    name: str
    what: str
    run: Callable[[Side], Awaitable[Finding]]
    slow: bool = False
    ends: bool = False


def probe(what: str, *, slow: bool = False, ends: bool = False) -> Callable[[Callable[[Side], Awaitable[Finding]]], Probe]:
    """Make a probe of a function; its name is the function's."""

    def made(run: Callable[[Side], Awaitable[Finding]]) -> Probe:
        return Probe(run.__name__, what, run, slow, ends)

    return made


def control(holds: object, what: str) -> None:
    """Check what has to hold for a finding to mean something. Raises NotRunError."""
    if not holds:
        raise NotRunError(what)


def judged(leaks: object, evidence: str) -> Finding:
    """Return LEAK where the leak was seen, else held."""
    return Finding(LEAK if leaks else HELD, evidence)


def shown(side: Side, text: str) -> str:
    """Return evidence in one short line, without the paths of this machine."""
    for path, name in ((str(side.home), "~/.hermes"), (str(side.home.parent), "~")):
        text = text.replace(path, name)
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= _EVIDENCE_LIMIT else text[: _EVIDENCE_LIMIT - 2] + " …"


async def script(side: Side, text: str, name: str, agent: str = A) -> str:
    """Have an agent write a program into its workspace; return its path there. Raises NotRunError."""
    path = side.profile(agent) / "workspace" / name
    done = await side.tool(agent, "write_file", {"path": str(path), "content": text})
    control('"error": "' not in done, f"{agent} can't write a program: {shown(side, done)}")
    return str(path)
