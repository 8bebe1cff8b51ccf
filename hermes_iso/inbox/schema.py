"""The inbox's tables in gateway.db, and the schema of that file as a whole: one script per version, only ever added to."""

from __future__ import annotations

from hermes_iso import admission, journal

INBOX = """
    CREATE TABLE inbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        platform TEXT NOT NULL, account TEXT NOT NULL, platform_id TEXT NOT NULL,
        turn_id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, lane TEXT NOT NULL, agent TEXT NOT NULL DEFAULT '',
        state TEXT NOT NULL DEFAULT 'received', tries INTEGER NOT NULL DEFAULT 0, tools TEXT NOT NULL DEFAULT '[]',
        sent TEXT NOT NULL DEFAULT '[]', digest TEXT NOT NULL, about TEXT NOT NULL,
        inbound TEXT NOT NULL, outbound TEXT NOT NULL DEFAULT '', messages TEXT NOT NULL DEFAULT '[]',
        accepted REAL NOT NULL, changed REAL NOT NULL,
        UNIQUE (platform, account, platform_id)
    ) STRICT;
    CREATE INDEX inbox_open ON inbox (id) WHERE state IN ('received', 'routed', 'running', 'answered');
    CREATE INDEX inbox_by_time ON inbox (changed);
    """

GATEWAY_SCHEMA = (*journal.SCHEMA, INBOX, admission.SCRIPT)
"""The scripts of gateway.db."""
