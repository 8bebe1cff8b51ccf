"""sessions.db: older files are brought up to date, what is kept is bounded, and what is gone can't be found."""

import json
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

from hermes_iso import session_rows
from hermes_iso.messages import ChatRef, Inbound, Usage
from hermes_iso.routing import Router
from hermes_iso.session_rows import (
    KEPT_SESSIONS,
    SWEEP_EVERY,
    ChatKey,
    add_messages,
    begin_session,
    charge_session,
    copy_messages,
    current_session,
    delete_messages,
    enter_session,
    last_exchange,
    next_number,
    read_history,
)
from hermes_iso.session_schema import SCHEMA
from hermes_iso.session_search import find, sessions_in_scope
from hermes_iso.sessions import Sessions, chat_key
from hermes_iso.store import open_database
from tests.support.line import make_config
from tests.support.session_database import opened


def key(name: str, namespace: str = "") -> ChatKey:
    """Return a chat of its own."""
    return ChatKey(f'["{name}"]', f'["of {name}"]', namespace)


def message(text: str, role: str = "user") -> str:
    """Return a message as it is stored."""
    return json.dumps({"role": role, "content": text})


def say(connection: apsw.Connection, session: int, *texts: str) -> None:
    """Add an exchange for each text."""
    for text in texts:
        number = next_number(connection, session)
        add_messages(connection, session, number, f"turn {number}", [message(text), message(f"re {text}", "assistant")])
        assert charge_session(connection, session, f"s{session}", Usage(), turns=1) in (True, False)


async def test_file_of_the_first_version_keeps_its_sessions(tmp_path: Path) -> None:
    """The chat finds its session and history again under the new schema, and old messages can be searched."""
    inbound = Inbound(ChatRef("console", 'ö"c'), "x", "1", user_id="7", namespace="dev", session_id="mine")
    route = Router(make_config(tmp_path / "home")).route(inbound)
    path = tmp_path / "sessions.db"
    async with open_database(path, SCHEMA[:1]) as database:

        def fill(connection: apsw.Connection) -> None:
            connection.execute(
                "INSERT INTO sessions VALUES (5, 'mine', 1.0, 'main', 'dev', 'console', 'dm', 'ö\"c', '', '', 'mine')"
            )
            rows = [(5, 1, 2.0, "t", 9, message("old pineapple")), (5, 2, 3.0, "t", 9, message("noted", "assistant"))]
            connection.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", rows)

        await database.run(fill)
    async with open_database(path, SCHEMA) as database:
        sessions = Sessions({"main": database})
        async with sessions.open("new", inbound, route) as turn:
            assert turn.session_id == "mine"
            assert [each["content"] for each in turn.history] == ["old pineapple", "noted"]
            await sessions.keep(turn, [{"role": "assistant", "content": "more"}])
        found = await database.run(lambda c: find(c, chat_key(inbound, route), "pineapple noted OR more", limit=3))
        assert [(hit.session.session_id, hit.seq) for hit in found] == [("mine", 4)]
        row = await database.run(lambda c: current_session(c, chat_key(inbound, route)))
        assert row is not None
        assert (row.turns, row.id) == (2, 5)


def test_begun_session_is_the_current_one() -> None:
    """A chat is in the session that it began or entered last; other chats are not touched."""
    connection = opened()
    first, other = begin_session(connection, key("a"), "one"), begin_session(connection, key("b"), "b's")
    second = begin_session(connection, key("a"), "two", title="t")
    assert (current_session(connection, key("a")) or first).title == second.title == "t"
    enter_session(connection, first.chat, first.id)
    assert (current_session(connection, key("a")) or second).id == first.id
    assert (current_session(connection, key("b")) or second).id == other.id
    assert current_session(connection, key("nobody")) is None


def test_chat_keeps_a_bounded_number_of_sessions() -> None:
    """The sessions used longest ago go, their messages with them; the one that the chat is in stays however old it is."""
    connection = opened()
    first = begin_session(connection, key("a"), "first")
    say(connection, first.id, "pineapple")
    for number in range(KEPT_SESSIONS + 5):
        begin_session(connection, key("a"), str(number))
    assert len(sessions_in_scope(connection, key("a"), limit=1000, used_only=False)) == KEPT_SESSIONS
    assert connection.execute("SELECT count(*) FROM messages").fetchall() == [(0,)]
    assert connection.execute("SELECT count(*) FROM words WHERE words MATCH 'pineapple'").fetchall() == [(0,)]


def test_chat_keeps_a_bounded_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few its sessions are, those used longest ago go when they are too large; deleted messages no longer count."""
    monkeypatch.setattr(session_rows, "KEPT_IN_CHAT", 10_000)
    connection = opened()
    for number in range(6):
        row = begin_session(connection, key("a"), str(number))
        say(connection, row.id, "x" * 1_500)
    kept = sessions_in_scope(connection, key("a"), limit=100, used_only=False)
    assert 2 <= len(kept) <= 4
    delete_messages(connection, kept[0].id, 0)
    sums = "SELECT s.bytes = coalesce((SELECT sum(size) FROM messages WHERE session = s.id), 0) FROM sessions s"
    assert set(connection.execute(sums)) == {(1,)}


def test_copy_holds_what_a_turn_would_read() -> None:
    """A copied session costs no more than one turn's history, and goes on like the one it was made from."""
    connection = opened()
    source, target = begin_session(connection, key("a"), "s"), begin_session(connection, key("b"), "t")
    for number in range(4):
        add_messages(connection, source.id, 2 * number + 1, f"t{number}", [message("x" * 200_000), message("re", "assistant")])
    copy_messages(connection, source.id, target.id)
    assert read_history(connection, target.id) == read_history(connection, source.id)
    assert connection.execute("SELECT bytes < 700000 FROM sessions WHERE id = ?", (target.id,)).fetchall() == [(1,)]


def test_namespace_keeps_a_bounded_number_of_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one API key makes costs no other key or chat a session, and chats without any are forgotten."""
    monkeypatch.setattr(session_rows, "KEPT_IN_NAMESPACE", 10)
    connection = opened()
    begin_session(connection, key("chat"), "kept")
    for number in range(2 * SWEEP_EVERY):
        begin_session(connection, key(f"k{number}", "loud"), str(number))
    count = "SELECT count(*) FROM sessions s JOIN chats c ON c.id = s.chat WHERE c.namespace = ?"
    assert connection.execute(count, ("loud",)).fetchall()[0][0] <= 10 + SWEEP_EVERY
    assert connection.execute(count, ("",)).fetchall() == [(1,)]
    assert connection.execute("SELECT count(*) FROM chats").fetchall()[0][0] <= 11 + SWEEP_EVERY


def test_row_of_a_forgotten_session_is_never_anothers() -> None:
    """A turn that outlives its session does not write into the next one that is made."""
    connection = opened()
    row = begin_session(connection, key("a"), "gone")
    connection.execute("DELETE FROM sessions WHERE id = ?", (row.id,))
    other = begin_session(connection, key("b"), "other")
    assert other.id != row.id
    assert charge_session(connection, row.id, "gone", Usage(1, 1, 1), turns=1) is False
    assert charge_session(connection, other.id, "gone", Usage(1, 1, 1), turns=1) is False


def test_exchanges_are_counted_by_turn() -> None:
    """The last exchange begins with the first message of its turn, however many messages the turn has."""
    connection = opened()
    row = begin_session(connection, key("a"), "s")
    assert last_exchange(connection, row.id) is None
    add_messages(connection, row.id, 1, "t1", [message("one"), message("re", "assistant")])
    add_messages(connection, row.id, 3, "t2", [message("two"), message("steered"), message("re", "assistant")])
    assert last_exchange(connection, row.id) == (3, "t2", message("two"), 1)
    assert last_exchange(connection, row.id, 5) == (1, "t1", message("one"), 2)
    assert read_history(connection, row.id, 3) == [message("one"), message("re", "assistant")]
    assert delete_messages(connection, row.id, 3) == 3
    assert [hit.seq for hit in find(connection, key("a"), "steered", limit=3)] == []


def test_only_what_people_and_agents_said_is_indexed() -> None:
    """A tool's output is not found: it is long, and no one said it."""
    connection = opened()
    row = begin_session(connection, key("a"), "s")
    call = {"role": "assistant", "content": None, "tool_calls": []}
    tool = {"role": "tool", "tool_call_id": "c", "content": "pineapple"}
    add_messages(connection, row.id, 1, "t", [message("hello"), json.dumps(call), json.dumps(tool)])
    charge_session(connection, row.id, "s", Usage(), turns=1)
    assert find(connection, key("a"), "pineapple", limit=3) == []
    assert [hit.seq for hit in find(connection, key("a"), "hello", limit=3)] == [1]


@pytest.mark.slow
async def test_large_file_costs_a_turn_little(tmp_path: Path) -> None:
    """With thousands of sessions a turn's read and write stay within a few milliseconds of what they are without."""

    def fill(connection: apsw.Connection) -> None:
        for number in range(2_000):
            row = begin_session(connection, key(f"c{number}"), str(number))
            add_messages(connection, row.id, 1, "t", [message(f"word{number} common"), message("common", "assistant")])

    inbound = Inbound(ChatRef("console", "c"), "x", "1")
    route = Router(make_config(tmp_path / "home")).route(inbound)

    async def cost(sessions: Sessions) -> float:
        times: list[Any] = []
        for number in range(15):
            began = time.perf_counter()
            async with sessions.open(f"t{number}", inbound, route) as turn:
                await sessions.keep(turn, [{"role": "assistant", "content": "common"}])
            times.append(time.perf_counter() - began)
        return float(sorted(times)[5])

    async with open_database(tmp_path / "sessions.db", SCHEMA) as database:
        sessions = Sessions({"main": database})
        empty = await cost(sessions)
        await database.run(fill)
        assert await cost(sessions) < 5 * empty + 0.02
