"""The real hermes-agent for tests: where its environment is, or why a test that needs it is not run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.gateways import ROOT

PYTHON = ROOT / ".venv-hermes" / "bin" / "python"
WITH_HERMES = pytest.mark.skipif(not PYTHON.exists(), reason="hermes-agent is not installed: make hermes")


def engine_keys(*agents: str) -> str:
    """Return the lines of a config by which these agents run on hermes-agent."""
    named = ", ".join(f"{agent}: {{engine: hermes}}" for agent in agents)
    return f"engines: {{hermes: {{python: {PYTHON}}}}}\nagents: {{{named}}}\n"


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
