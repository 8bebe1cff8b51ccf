"""A sessions.db in memory, for tests of what is read from and written to one."""

import apsw

from hermes_iso.session_schema import SCHEMA


def opened() -> apsw.Connection:
    """Return a database of the current schema in memory."""
    connection = apsw.Connection(":memory:")
    for script in SCHEMA:
        connection.execute(script).fetchall()
    return connection
