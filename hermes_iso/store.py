"""Database: one SQLite file of the gateway, used from trio without blocking it.

Each database has one worker thread, so its statements never overlap, and a transaction is one function that runs in that thread
from begin to commit. A task that is cancelled meanwhile therefore leaves either the whole transaction or nothing, and never
an open one: the worker's progress handler ends a running statement and the `with` block rolls back.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import apsw
import trio

from hermes_iso.errors import UsageError

FILES_OF_ONE = ("", "-wal", "-shm", "-journal")
"""What is added to a database's name for each of the files that it may consist of."""
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that has the file locked, say a backup."""
FREE_PAGES = 1024
"""Free pages of a file from which on it may be made smaller."""
Result = TypeVar("Result")


class Database:
    """An open database; see `open_database`."""

    def __init__(self, connection: apsw.AsyncConnection) -> None:
        self._connection = connection

    async def run(self, transaction: Callable[[apsw.Connection], Result]) -> Result:
        """Run a function in one transaction and return what it returns; cancelling rolls back. Raises apsw.Error."""
        connection: Any = self._connection

        def work() -> Result:
            with connection:
                return transaction(connection)

        result: Result = await connection.async_run(work)
        return result

    async def shrink(self) -> None:
        """Give the disk back what deleted rows have left, where that is much of the file. Raises apsw.Error."""
        connection: Any = self._connection

        def work() -> None:
            free, pages = int(connection.pragma("freelist_count")), int(connection.pragma("page_count"))
            if free >= FREE_PAGES and free * 2 >= pages:
                connection.execute("VACUUM").fetchall()

        await connection.async_run(work)


@asynccontextmanager
async def open_database(
    path: Path, schema: Sequence[str], *, synchronous: Literal["normal", "full"] = "normal"
) -> AsyncIterator[Database]:
    """Open or make a database. `schema` holds one script per version: a file of version N gets the scripts after the Nth.

    A file of an older version is copied to NAME.vN first, and brought up to date in one transaction. synchronous: `full` has
    every transaction on the disk when it returns, also where the machine loses its power; `normal` when the process dies.
    Raises UsageError when the file can't be used or was made by a newer version of this program.
    """
    for file in (Path(f"{path}{end}") for end in FILES_OF_ONE):
        if file.is_symlink():  # SQLite would follow it, and make what it leads to
            raise UsageError(f"The database file {file} is a symlink: remove it.")
    try:
        connection = await apsw.Connection.as_async(str(path))
    except apsw.Error as error:
        raise UsageError(f"The database {path} can't be opened ({error}): check its permissions and the disk.") from error
    try:
        database = Database(connection)
        await _prepare(connection, path, schema, synchronous)
        yield database
    finally:
        with trio.CancelScope(shield=True):
            await connection.aclose()


async def _prepare(connection: Any, path: Path, schema: Sequence[str], synchronous: str) -> None:
    """Set the file's modes and bring its schema up to date."""

    def work() -> int:
        connection.set_busy_timeout(int(BUSY_TIMEOUT * 1000))
        version = int(connection.pragma("user_version"))
        if version > len(schema):
            return version
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", synchronous)
        if 0 < version < len(schema):
            _copy(connection, path, version)
        with connection:
            version = int(connection.pragma("user_version"))
            for number, script in enumerate(schema[version:], version + 1):
                connection.execute(script).fetchall()
                connection.pragma("user_version", number)
        return version

    try:
        version = await connection.async_run(work)
    except (apsw.Error, OSError) as error:
        raise UsageError(f"The database {path} can't be used ({error}): restore it from a backup, or move it away.") from error
    if version > len(schema):
        raise UsageError(
            f"The database {path} has schema version {version} and this version knows {len(schema)}: use the newer hermes-iso."
        )


def _copy(connection: Any, path: Path, version: int) -> None:
    """Copy a database beside itself, readable for its owner alone. Raises apsw.Error, OSError."""
    target, unfinished = Path(f"{path}.v{version}"), Path(f"{path}.v{version}.new")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection.execute("VACUUM INTO ?", (str(unfinished),)).fetchall()
    unfinished.replace(target)
