"""Ledger: what the line tells of one message as it goes, so that somebody can keep it on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hermes_iso.history import Message


class Ledger(Protocol):
    """Takes the steps of one message in their order; each is kept when its call returns.

    instead: what is answered in the place of a turn; empty where there is to be one.
    """

    instead: str

    async def routed(self, agent: str) -> None:
        """Take it that an agent takes the message. Called by the line once its route is known."""

    async def running(self) -> None:
        """Take it that the message's turn begins. Called by the runner before there is a process."""

    async def tools_called(self, names: Sequence[str]) -> None:
        """Take it that a turn is about to call tools. Called before its process can hear of the first of them."""

    def ended(self, messages: Sequence[Message]) -> None:
        """Take what a turn adds to its history. Called before its answer is delivered."""


class NoLedger:
    """Keeps nothing: of a message whose sender waits for the answer."""

    instead = ""

    async def routed(self, agent: str) -> None:
        """Do nothing."""

    async def running(self) -> None:
        """Do nothing."""

    async def tools_called(self, names: Sequence[str]) -> None:
        """Do nothing."""

    def ended(self, messages: Sequence[Message]) -> None:
        """Do nothing."""


NO_LEDGER = NoLedger()
