"""state.db of an agent on hermes-agent: what a conversation leaves there, and what happens when it can't be used."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateways import Running, running_gateway, write_hermes_home
from tests.support.hermes import engine_keys
from tests.support.hermes_package import HERMES_PYTHON, needs_hermes
from tests.support.model_program import model_program

pytestmark = needs_hermes
TEXTS = ("hello there", 'CALL terminal {"command": "echo one; echo two"}', "and the end")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a home whose profiles alice and bob run on hermes-agent, with the test model."""
    with model_program() as url:
        where = tmp_path_factory.mktemp("operator") / ".hermes"
        yield write_hermes_home(where, f"{url}/v1", more=engine_keys("alice", "bob"))


@pytest.fixture(scope="module")
def gateway(home: Path) -> Iterator[Running]:
    """Serve it."""
    with running_gateway("--home", str(home)) as running:
        yield running


def rows(database: Path) -> list[dict[str, Any]]:
    """Return every message of a state.db, but for its number, its session's name and its time."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute("SELECT * FROM messages ORDER BY id")]
    connection.close()
    return [{key: value for key, value in row.items() if key not in ("id", "session_id", "timestamp")} for row in found]


@pytest.mark.timeout(300)
@pytest.mark.long  # Hermes' own command takes seconds to start, and it is started for each message
def test_the_same_conversation_is_the_same_in_state_db(gateway: Running, home: Path, tmp_path: Path) -> None:
    """Through Hermes' own command line and through the gateway, every column of every message is equal."""
    profile = home / "profiles" / "alice"
    own = shutil.copytree(profile, tmp_path / "own", ignore=shutil.ignore_patterns(".agent"))
    hermes, session = HERMES_PYTHON.with_name("hermes"), ""
    env = {"HERMES_HOME": str(own), "HOME": str(own), "PATH": os.environ["PATH"]}
    for text in TEXTS:
        argv = [str(hermes), "chat", "-Q", "-q", text, *(["--resume", session] if session else [])]
        subprocess.run(argv, env=env, cwd=own / "workspace", check=True, capture_output=True, timeout=120)
        connection = sqlite3.connect(own / "state.db")
        (session,) = connection.execute("SELECT id FROM sessions").fetchone()
        connection.close()
        gateway.answer(text, agent="alice", **{"X-Hermes-Session-Id": "same"})
    assert len(rows(own / "state.db")) == 8
    assert rows(profile / ".agent" / "state.db") == rows(own / "state.db")


def test_a_state_db_that_cannot_be_used_fails_one_turn_with_a_sentence(gateway: Running, home: Path) -> None:
    """Locked or no database: the agent's turn says so, others go on, and once it is mended so does the agent."""
    database = home / "profiles" / "bob" / ".agent" / "state.db"
    options = {"agent": "bob", "X-Hermes-Session-Id": "stored"}
    assert gateway.answer("first", **options) == "echo: first"
    holder = sqlite3.connect(database)
    holder.execute("BEGIN EXCLUSIVE")
    assert "state.db is locked" in gateway.ask("hello", **options).json()["error"]["message"]
    holder.rollback()
    holder.close()
    assert gateway.answer("second", **options) == "echo: second"
    for file in database.parent.glob("state.db*"):
        file.unlink()
    database.write_bytes(b"no database" * 1000)
    assert gateway.answer("meanwhile", agent="alice") == "echo: meanwhile"
    gateway.ask("hello", **options)  # by the process that had opened the one before
    message = gateway.ask("hello", **options).json()["error"]["message"]
    assert message.startswith("hermes-agent can't use this agent's state.db")
    database.unlink()
    assert gateway.answer("third", **options) == "echo: third"
