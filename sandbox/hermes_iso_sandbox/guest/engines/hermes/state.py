"""Where hermes-agent's own files lie: below the agent's `.agent`, which the top-level names in /hermes lead to."""

from __future__ import annotations

import os
import sqlite3

from hermes_iso_sandbox.guest.engines import TurnFault

HOME = "/hermes"
DIRECTORIES = ("logs", "image_cache", "audio_cache", "pairing", "checkpoints")
"""Directories that Hermes makes at the top of its home."""
PATIENCE = 5.0
"""Seconds to wait for another program that writes state.db; Hermes itself would go on trying for minutes."""
_LOCKED = "This agent's state.db is locked by another program: end that, or ask again in a moment."


def make_room() -> None:
    """Make what the links of /hermes lead to."""
    for name in DIRECTORIES:
        os.makedirs(f"{HOME}/.agent/{name}", mode=0o700, exist_ok=True)


def check_writable(home: str) -> None:
    """See whether state.db can be written now. Raises TurnFault when another program keeps it, sqlite3.Error."""
    database = sqlite3.connect(f"{home}/state.db", timeout=PATIENCE, isolation_level=None)
    try:
        database.execute("BEGIN IMMEDIATE")
        database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        raise TurnFault("engine", _LOCKED) from error
    finally:
        database.close()
