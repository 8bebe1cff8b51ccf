"""The scripts of sessions.db: chats, the sessions of each, their messages, an index of the words in them; and approvals.

A chat is known by `identity`, the JSON text of the tuple of its parts. `scope` is what the chats of one person in one place
have in common; the empty text has nothing in common with anything. `messages` is followed by triggers, so that nothing can be
deleted and still be found or counted. The index keeps no text of its own: a row of it is a message's session and number in
one integer. `approvals` holds what people allowed for longer than once; session 0 stands for all.
"""

from __future__ import annotations

INDEXED_CHARS = 50_000
"""Characters of a message whose words can be searched for."""

_FIRST = """
    CREATE TABLE sessions (
        id INTEGER PRIMARY KEY, session_id TEXT NOT NULL, created_at REAL NOT NULL, agent TEXT NOT NULL,
        namespace TEXT NOT NULL, platform TEXT NOT NULL, chat_type TEXT NOT NULL, chat_id TEXT NOT NULL,
        thread_id TEXT NOT NULL, user_id TEXT NOT NULL, caller_id TEXT NOT NULL,
        UNIQUE (agent, namespace, platform, chat_type, chat_id, thread_id, user_id, caller_id)
    ) STRICT;
    CREATE TABLE messages (
        session INTEGER NOT NULL REFERENCES sessions (id), seq INTEGER NOT NULL, at REAL NOT NULL, turn_id TEXT NOT NULL,
        size INTEGER NOT NULL, message TEXT NOT NULL, PRIMARY KEY (session, seq)
    ) STRICT, WITHOUT ROWID;
    """
_WORDS = f"substr(json_extract(message, '$.content'), 1, {INDEXED_CHARS})"
_SAID = "json_extract({0}message, '$.role') IN ('user', 'assistant') AND json_extract({0}message, '$.content') IS NOT NULL"
_SECOND = f"""
    CREATE TABLE chats (
        id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, namespace TEXT NOT NULL,
        current INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX chats_by_scope ON chats (scope);
    CREATE TABLE sessions_of_chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT, chat INTEGER NOT NULL REFERENCES chats (id), session_id TEXT NOT NULL,
        created_at REAL NOT NULL, used_at REAL NOT NULL, title TEXT NOT NULL DEFAULT '', settings TEXT NOT NULL DEFAULT '{{}}',
        bytes INTEGER NOT NULL DEFAULT 0, turns INTEGER NOT NULL DEFAULT 0, calls INTEGER NOT NULL DEFAULT 0,
        prompt_tokens INTEGER NOT NULL DEFAULT 0, completion_tokens INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    INSERT INTO chats SELECT id, json_array(agent, namespace, platform, chat_type, chat_id, thread_id, user_id, '', caller_id),
        '', namespace, id FROM sessions;
    INSERT INTO sessions_of_chats (id, chat, session_id, created_at, used_at, bytes, turns)
        SELECT id, id, session_id, created_at,
            coalesce((SELECT max(at) FROM messages WHERE session = sessions.id), created_at),
            (SELECT coalesce(sum(size), 0) FROM messages WHERE session = sessions.id),
            (SELECT count(DISTINCT turn_id) FROM messages WHERE session = sessions.id)
        FROM sessions;
    DROP TABLE sessions;
    ALTER TABLE sessions_of_chats RENAME TO sessions;
    CREATE INDEX sessions_by_chat ON sessions (chat, used_at);
    CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 2");
    INSERT INTO words (rowid, text) SELECT (session << 32) | seq, {_WORDS} FROM messages WHERE {_SAID.format("")};
    CREATE TRIGGER message_added AFTER INSERT ON messages WHEN {_SAID.format("new.")} BEGIN
        INSERT INTO words (rowid, text) VALUES ((new.session << 32) | new.seq, {_WORDS.replace("message,", "new.message,")});
    END;
    CREATE TRIGGER message_gone AFTER DELETE ON messages WHEN {_SAID.format("old.")} BEGIN
        DELETE FROM words WHERE rowid = (old.session << 32) | old.seq;
    END;
    CREATE TRIGGER message_counted AFTER INSERT ON messages BEGIN
        UPDATE sessions SET bytes = bytes + new.size WHERE id = new.session;
    END;
    CREATE TRIGGER message_discounted AFTER DELETE ON messages BEGIN
        UPDATE sessions SET bytes = bytes - old.size WHERE id = old.session;
    END;
    CREATE TABLE home_chats (
        platform TEXT PRIMARY KEY, chat_type TEXT NOT NULL, chat_id TEXT NOT NULL, thread_id TEXT NOT NULL,
        set_by TEXT NOT NULL, set_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;
    """  # noqa: S608  nothing in it comes from outside
_THIRD = """
    CREATE TABLE approvals (
        session INTEGER NOT NULL, pattern TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (session, pattern)
    ) STRICT, WITHOUT ROWID;
    """

_FOURTH = "ALTER TABLE home_chats ADD COLUMN account_id TEXT NOT NULL DEFAULT '';"

SCHEMA = (_FIRST, _SECOND, _THIRD, _FOURTH)
