"""KeptApprovals: what people have approved for longer than once, kept per agent where no sandbox reaches it.

An approval is for a kind of command, as it was shown when it was given: for one session of a chat, or for good (`FOR_GOOD`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import apsw

from hermes_iso.sessions import Sessions

FOR_GOOD: Final = 0
"""Stands for the session of an approval that counts in all of the agent's."""
MOST = 1_000
"""Approvals that are kept of an agent, the newest."""


class KeptApprovals:
    """The approvals of all agents. All methods raise TurnError(internal) when the database fails."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def cover(self, agent: str, session: int | None, patterns: Sequence[str]) -> bool:
        """Say whether every one of these kinds was approved, for good or for this session; no kinds at all were not."""

        def covered(connection: apsw.Connection) -> bool:
            query = "SELECT 1 FROM approvals WHERE session IN (?, ?) AND pattern = ?"
            return all(connection.execute(query, (FOR_GOOD, session, pattern)).fetchone() for pattern in patterns)

        return bool(patterns) and await self._sessions.run(agent, covered)

    async def keep(self, agent: str, session: int, patterns: Sequence[str]) -> None:
        """Keep that these kinds are approved; what is too much is forgotten, the oldest first."""

        def insert(connection: apsw.Connection) -> None:
            rows = [(session, pattern, time.time()) for pattern in patterns]
            connection.executemany("INSERT OR REPLACE INTO approvals (session, pattern, at) VALUES (?, ?, ?)", rows)
            connection.execute(
                "DELETE FROM approvals WHERE (session, pattern) IN"
                " (SELECT session, pattern FROM approvals ORDER BY at DESC, session, pattern LIMIT -1 OFFSET ?)",
                (MOST,),
            )

        await self._sessions.run(agent, insert)

    async def listed(self, agent: str, session: int | None) -> list[tuple[str, bool]]:
        """Return the kinds that are approved for good (True) or for this session, sorted."""

        def select(connection: apsw.Connection) -> list[tuple[str, bool]]:
            found = connection.execute(
                "SELECT pattern, min(session) FROM approvals WHERE session IN (?, ?) GROUP BY pattern ORDER BY pattern",
                (FOR_GOOD, session),
            )
            return [(pattern, first == FOR_GOOD) for pattern, first in found]

        return await self._sessions.run(agent, select)

    async def forget(self, agent: str, pattern: str) -> bool:
        """Forget that a kind is approved, wherever it was; say whether it had been."""

        def delete(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM approvals WHERE pattern = ?", (pattern,))
            return connection.changes() > 0

        return await self._sessions.run(agent, delete)
