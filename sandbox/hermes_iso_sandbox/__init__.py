"""Sandboxes for mutually untrusted work: fresh, confined processes from a pool, at the price of a fork made ahead of time."""

from hermes_iso_sandbox.calling import SandboxPool
from hermes_iso_sandbox.confinement import Bind, Confinement, DataFile, Limits
from hermes_iso_sandbox.errors import (
    GuestDiedError,
    GuestError,
    GuestTimeoutError,
    LimitError,
    ProtocolError,
    SandboxError,
    UnsupportedSandboxError,
)
from hermes_iso_sandbox.lease import Lease
from hermes_iso_sandbox.sandbox import PoolLimits
from hermes_iso_sandbox.wire import Narrowing

__all__ = [
    "Bind",
    "Confinement",
    "DataFile",
    "GuestDiedError",
    "GuestError",
    "GuestTimeoutError",
    "Lease",
    "LimitError",
    "Limits",
    "Narrowing",
    "PoolLimits",
    "ProtocolError",
    "SandboxError",
    "SandboxPool",
    "UnsupportedSandboxError",
]
