"""Every exception of the sandbox package; imports nothing."""

from __future__ import annotations


class SandboxError(Exception):
    """The root of the sandbox's own errors; its text is one sentence for a person."""


class UnsupportedSandboxError(SandboxError):
    """This machine can't give the isolation that was asked for; the text holds the fix."""


class GuestError(SandboxError):
    """A function raised inside. `kind`: the name of its class; `text`: its text; `traceback`: the guest's, as text."""

    def __init__(self, kind: str, text: str, traceback: str) -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        self.text = text
        self.traceback = traceback


class GuestDiedError(SandboxError):
    """The guest ended before it answered.

    status: as a shell shows it (128+signal), None when unknown. stderr: the end of what it wrote there, where that is kept.
    """

    def __init__(self, message: str, status: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.stderr = stderr


class ProtocolError(SandboxError):
    """The guest sent something that is no frame of ours."""


class FloodError(ProtocolError):
    """The guest sent more than a turn may."""


class GuestTimeoutError(SandboxError):
    """A function or command ran into its time limit; everything that it started is dead."""


class LimitError(SandboxError):
    """The sandbox is at one of its limits; `limit` is its name: memory, disk or inodes."""

    def __init__(self, limit: str, message: str) -> None:
        super().__init__(message)
        self.limit = limit
