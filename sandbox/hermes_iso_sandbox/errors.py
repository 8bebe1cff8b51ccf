"""Every exception of the sandbox package; imports nothing."""

from __future__ import annotations


class SandboxError(Exception):
    """The root of the sandbox's own errors; its text is one sentence for a person."""


class UnsupportedSandboxError(SandboxError):
    """This machine can't give the isolation that was asked for; the text holds the fix."""


class GuestDiedError(SandboxError):
    """The guest ended before it answered; `status` is as a shell shows it (128+signal), None when unknown."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ProtocolError(SandboxError):
    """The guest sent something that is no frame of ours."""


class FloodError(ProtocolError):
    """The guest sent more than a turn may."""


class SandboxTimeoutError(SandboxError):
    """A command ran into its time limit; everything it started is dead."""


class LimitError(SandboxError):
    """The sandbox is at one of its limits; `limit` is its name: memory, disk or inodes."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
