"""What this version does not bound, told wherever limits are told: an unbounded thing that is not named would look bounded."""

from __future__ import annotations

NOT_BOUNDED = (
    ("memory", "not bounded in total; each process has an address space limit, and tmpfs a size"),
    ("cpu", "not bounded in share; each process has a limit of CPU seconds"),
    ("disk", "not bounded in total; each file has a size limit"),
    ("inodes", "not bounded in the agent's own directories"),
)
"""(what, how far it is bounded)."""
