"""The real hermes-agent for tests: the config by which agents run on it, and what it keeps of a session."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.support.hermes_package import HERMES_PYTHON


def engine_keys(*agents: str) -> str:
    """Return the lines of a config by which these agents run on hermes-agent."""
    named = ", ".join(f"{agent}: {{engine: hermes}}" for agent in agents)
    return f"engines: {{hermes: {{python: {HERMES_PYTHON}}}}}\nagents: {{{named}}}\n"


def said(profile: Path, session: str) -> list[tuple[str, str]]:
    """Return role and text of every active message that a profile's state.db has of a session."""
    database = sqlite3.connect(f"file:{profile / '.agent' / 'state.db'}?mode=ro", uri=True)
    try:
        rows = database.execute(
            "SELECT role, content FROM messages WHERE session_id = ? AND active = 1 ORDER BY id", (session,)
        ).fetchall()
    finally:
        database.close()
    return [(role, text or "") for role, text in rows]
