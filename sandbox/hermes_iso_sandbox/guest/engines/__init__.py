"""Engines: each takes a TurnRequest to a TurnDone inside the turn process."""

from __future__ import annotations


class TurnFault(Exception):  # noqa: N818  # a verdict about the turn, reported as TurnFailed
    """The turn can't be finished; `message` is one sentence for the person who asked."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
