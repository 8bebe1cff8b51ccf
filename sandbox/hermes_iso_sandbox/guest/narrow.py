"""Apply to this turn's own process what its request takes away: one more landlock layer, one more system call filter.

A turn process waits confined as its agent is, before anybody knows whose turn it will be. What its platform, its session or
whoever delegated it grants less than the agent has comes with the request, and both layers can only be added to, so that
nothing in the turn undoes them. They bind the turn and all that it starts.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from hermes_iso_sandbox.guest import landlock, seccomp
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.wire import Narrowing

_LINKS = (("/var/tmp", "/tmp"), ("/var/run", "/run"))
"""Links of the sandbox's own root: the second name is what rules are made for."""


_THREADS = (
    "This turn is granted less than its agent, and a plugin of the agent runs a thread already, which could not be kept from"
    " the rest: grant the turn what the agent has, or switch the plugin off."
)


def narrow(narrowing: Narrowing, writable: Sequence[str], abi: int | None = None, threads: int | None = None) -> None:
    """Take away what `narrowing` says, for good. Raises TurnFault when the kernel can't: the turn must not go on then.

    writable: where this process may write so far. abi: of landlock, 0 where there is none; None asks the kernel.
    threads: of this process; None looks.
    """
    try:
        if narrowing != Narrowing() and (threads or len(os.listdir("/proc/self/task"))) > 1:
            raise TurnFault("narrowing", _THREADS)
        if narrowing.read_only:
            read_only = [_real(path) for path in narrowing.read_only]
            landlock.restrict_further(writable, read_only, landlock.find_abi() if abi is None else abi)
        if not narrowing.execute:
            seccomp.forbid_programs()
    except landlock.LandlockMissingError as error:
        sentence = (
            "This turn may not write where its agent may, and this machine's kernel has no landlock to keep it from that:"
            " grant it a writing tool, deny them to the agent everywhere, or use a newer kernel."
        )
        raise TurnFault("narrowing", sentence) from error
    except OSError as error:
        raise TurnFault(
            "narrowing", f"This turn could not be confined as its grant asks, so it was not begun: {error}."
        ) from error


def _real(path: str) -> str:
    """Return a path without the links that the sandbox itself made; those that an agent made must not count."""
    for link, target in _LINKS:
        if path == link or path.startswith(link + "/"):
            return target + path[len(link) :]
    return path
