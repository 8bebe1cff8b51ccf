"""InboxSettings: what the inbox of one gateway may hold, as its config says."""

from __future__ import annotations

from dataclasses import dataclass

MAX_QUEUED, MAX_QUEUED_PER_CHAT, TRIES, KEEP_DAYS = 1000, 32, 3, 30.0


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """The bounds of an inbox.

    max_queued, max_queued_per_chat: messages that have not ended, in all and of one chat behind the one that runs.
    tries: how often a message is tried that ends the gateway. keep_days: how long a message is known that has ended, and what
    was asked and answered over HTTP is kept.
    """

    max_queued: int = MAX_QUEUED
    max_queued_per_chat: int = MAX_QUEUED_PER_CHAT
    tries: int = TRIES
    keep_days: float = KEEP_DAYS
