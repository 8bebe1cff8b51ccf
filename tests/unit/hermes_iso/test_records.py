"""Records: the databases of agents that come and go."""

import shutil
from pathlib import Path

import apsw

from hermes_iso.records import AgentDatabases


def titles(connection: apsw.Connection) -> list[object]:
    """Return the titles of all sessions."""
    return [title for (title,) in connection.execute("SELECT title FROM sessions").fetchall()]


def add_session(connection: apsw.Connection) -> None:
    """Begin a session."""
    connection.execute("INSERT INTO chats VALUES (1, 'x', 'x', '', 1)")
    connection.execute("INSERT INTO sessions (chat, session_id, created_at, used_at, title) VALUES (1, 's', 0, 0, 'old')")


async def test_deleted_sessions_are_not_the_next_agents(tmp_path: Path) -> None:
    """An agent of the same name begins with none, also while a turn of the one before still holds the deleted file."""
    databases = AgentDatabases(tmp_path / "agents")
    await databases.open(["a", "b"])
    try:
        old, other = databases.by_agent["a"], databases.by_agent["b"]
        await old.run(add_session)
        await databases.open(["a", "b"])
        assert databases.by_agent["a"] is old
        shutil.rmtree(tmp_path / "agents" / "a")
        await databases.open(["a", "b"])
        assert await databases.by_agent["a"].run(titles) == []
        assert await old.run(titles) == ["old"], "it is open for as long as somebody may use it"
        assert databases.by_agent["b"] is other
        await databases.by_agent["a"].run(add_session)
    finally:
        await databases.close_all_but(())
    await databases.open(["a"])
    assert await databases.by_agent["a"].run(titles) == ["old"], "what the next one keeps is on the disk"
    await databases.close_all_but(())
