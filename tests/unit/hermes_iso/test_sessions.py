"""Sessions: order within one, no order between two, and a history that only whole turns enter."""

import os
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
import trio.testing

from hermes_iso.errors import HomeBusyError, TurnError, UsageError
from hermes_iso.history import HISTORY_BYTES, Message
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.records import open_records
from hermes_iso.routing import Router
from hermes_iso.session_rows import KEPT_BYTES, KEPT_COUNT
from hermes_iso.session_schema import SCHEMA
from hermes_iso.sessions import WAITERS, Sessions
from hermes_iso.store import open_database
from hermes_iso_sandbox import wire
from tests.support.line import Chat, FakePool, Guest, make_config, open_line


class Recorder:
    """A script that keeps its requests and answers when it is let."""

    def __init__(self) -> None:
        self.requests: list[wire.TurnRequest] = []
        self.go = trio.Semaphore(0)

    async def __call__(self, guest: Guest) -> None:
        request = await guest.hear()
        self.requests.append(request)
        await self.go.acquire()
        if request.text == "die":
            return
        await guest.say(wire.TurnDone("re " + request.text, [{"role": "assistant", "content": "re " + request.text}]))

    def texts(self) -> list[str]:
        """Return what was asked, in order."""
        return [request.text for request in self.requests]


async def wait_for(recorder: Recorder, count: int) -> None:
    """Wait until so many turns have begun."""
    with trio.fail_after(10):
        while len(recorder.requests) < count:
            await trio.testing.wait_all_tasks_blocked(0.005)


async def test_session_takes_one_turn_at_a_time_in_order(tmp_path: Path) -> None:
    """Three messages of one chat become three turns, one after the other, as they came."""
    recorder = Recorder()
    async with open_line(tmp_path / "home", recorder) as (gateway, pool), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        for text in ("one", "two", "three"):
            nursery.start_soon(chat.say, text)
            await trio.testing.wait_all_tasks_blocked(0.01)
        for count in (1, 2, 3):
            await wait_for(recorder, count)
            assert recorder.texts() == ["one", "two", "three"][:count]
            recorder.go.release()
    assert pool.most_living == 1
    assert [outbound.text for outbound in chat.delivered] == ["re one", "re two", "re three"]


async def test_sessions_run_at_once(tmp_path: Path) -> None:
    """Other chats, threads, agents and key names don't wait for one another, though their texts may coincide."""
    recorder = Recorder()
    async with open_line(tmp_path / "home", recorder) as (gateway, pool), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        others: list[dict[str, Any]] = [{}, {"agent": "coder"}, {"namespace": "dev"}, {"session_id": "s"}, {"chat": "c:d"}]
        for more in others:
            nursery.start_soon(lambda more=more: chat.say("x", **more))
        await wait_for(recorder, len(others))
        assert pool.most_living == len(others)
        for _ in others:
            recorder.go.release()


async def test_history_is_what_the_session_said(tmp_path: Path) -> None:
    """The next turn sees the user's messages and the answers, and has the same session id; another chat sees nothing."""
    recorder = Recorder()
    for _ in range(4):
        recorder.go.release()
    home = tmp_path / "home"
    async with open_line(home, recorder) as (gateway, _):
        await Chat(gateway).say("one")
    async with open_line(home, recorder) as (gateway, _):
        await Chat(gateway).say("two")
        await Chat(gateway).say("three", chat="other")
    first, second, third = recorder.requests
    assert (first.history, third.history) == ([], [])
    assert second.history == [{"role": "user", "content": "one"}, {"role": "assistant", "content": "re one"}]
    assert first.session_id == second.session_id != third.session_id


async def test_failed_turn_leaves_no_trace_in_the_history(tmp_path: Path) -> None:
    """Neither the message nor anything else of a turn that failed is seen by the next."""
    recorder = Recorder()
    for _ in range(2):
        recorder.go.release()
    async with open_line(tmp_path / "home", recorder) as (gateway, _):
        assert (await Chat(gateway).say("die")).error == "guest_died"
        await Chat(gateway).say("two")
    assert recorder.requests[1].history == []


async def test_callers_history_is_used_and_nothing_is_stored(tmp_path: Path) -> None:
    """A caller that keeps its history itself leaves none here."""
    recorder = Recorder()
    for _ in range(2):
        recorder.go.release()
    own = ({"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"})
    async with open_line(tmp_path / "home", recorder) as (gateway, _):
        await Chat(gateway).say("one", history=own)
        await Chat(gateway).say("two")
    assert recorder.requests[0].history == list(own)
    assert recorder.requests[1].history == []


async def test_too_many_waiters_are_refused_with_a_time(tmp_path: Path) -> None:
    """A session's queue is bounded, and the refused one is told when to come back."""
    recorder = Recorder()
    async with open_line(tmp_path / "home", recorder) as (gateway, _), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        for number in range(WAITERS + 1):
            nursery.start_soon(chat.say, str(number))
        await wait_for(recorder, 1)
        refused = await Chat(gateway).say("one too many")
        assert (refused.error, refused.retry_after) == ("busy", 5.0)
        for _ in range(WAITERS + 1):
            recorder.go.release()
    assert len(chat.delivered) == WAITERS + 1


async def test_waiter_that_leaves_makes_room(tmp_path: Path) -> None:
    """A cancelled waiter is skipped, and nobody behind it waits for ever."""
    recorder = Recorder()
    async with open_line(tmp_path / "home", recorder) as (gateway, _), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        nursery.start_soon(chat.say, "one")
        await wait_for(recorder, 1)
        with trio.move_on_after(0.05):
            await chat.say("left")
        nursery.start_soon(chat.say, "three")
        recorder.go.release()
        recorder.go.release()
    assert recorder.texts() == ["one", "three"]


async def test_background_processes_belong_to_the_session_or_to_the_named_key(tmp_path: Path) -> None:
    """The name that the pool gets is the session's identity, or the caller's key within its namespace and agent."""
    pool = FakePool(Recorder())
    pool.script.go = trio.Semaphore(9)  # type: ignore[attr-defined]
    async with open_line(tmp_path / "home", pool=pool) as (gateway, _):
        chat = Chat(gateway)
        await chat.say("x")
        await chat.say("x")
        await chat.say("x", session_id="a", history=(), process_key="k")
        await chat.say("x", session_id="b", history=(), process_key="k")
        await chat.say("x", session_id="b", history=(), process_key="k", namespace="dev")
    first, second, third, fourth, fifth = pool.sessions
    assert first == second
    assert third == fourth
    assert len({first, third, fifth}) == 3


async def take_turns(tmp_path: Path, turns: list[list[Message]], look: Any) -> tuple[Any, list[Message]]:
    """Keep turns in one session; return what `look` finds in its database and the history that the next turn would have."""
    inbound = Inbound(ChatRef("console", "c"), "asked", "1")
    route = Router(make_config(tmp_path / "home")).route(inbound)
    async with open_database(tmp_path / "sessions.db", SCHEMA) as database:
        sessions = Sessions({"main": database})
        for number, messages in enumerate(turns):
            async with sessions.open(str(number), inbound, route) as turn:
                await sessions.keep(turn, messages)
        async with sessions.open("last", inbound, route) as turn:
            return await database.run(look), list(turn.history)


def said(text: str, count: int = 1) -> list[Message]:
    """Return an answer of some messages."""
    return [{"role": "assistant", "content": text}] * count


def kept(connection: apsw.Connection) -> list[tuple[Any, ...]]:
    """Return the number of messages, whether their sizes are right, the first number, the bytes; and the oldest message."""
    query = "SELECT count(*), sum(length(CAST(message AS BLOB))) = sum(size), min(seq), sum(size) FROM messages"
    return [*connection.execute(query), *connection.execute("SELECT turn_id, message FROM messages ORDER BY seq LIMIT 1")]


async def test_session_keeps_a_bounded_number_of_messages(tmp_path: Path) -> None:
    """The oldest turns are deleted whole, so that what is left begins with a user's message."""
    half = KEPT_COUNT // 2
    (counts, oldest), history = await take_turns(tmp_path, [said("x", half), said("y", half - 1), said("z", 3)], kept)
    assert counts[:3] == (half + 4, 1, half + 2)
    assert oldest == ("1", '{"role":"user","content":"asked"}')
    assert history == [{"role": "user", "content": "asked"}, *said("z", 3)]


async def test_session_keeps_a_bounded_number_of_bytes(tmp_path: Path) -> None:
    """Bytes count as they are stored, other letters than ASCII too."""
    large = "ö" * (KEPT_BYTES // 8)
    (counts, oldest), history = await take_turns(tmp_path, [said(large)] * 6, kept)
    assert counts[:2] == (6, 1)
    assert counts[3] <= KEPT_BYTES
    assert oldest[0] == "3"
    assert history == []


async def test_turn_reads_no_more_history_than_it_uses(tmp_path: Path) -> None:
    """What does not fit in a turn's request stays on the disk."""

    def spoil(connection: apsw.Connection) -> None:
        connection.execute("UPDATE messages SET message = 'never read' WHERE turn_id = '0'")

    large = said("x" * (HISTORY_BYTES - 200))
    inbound = Inbound(ChatRef("console", "c"), "asked", "1")
    route = Router(make_config(tmp_path / "home")).route(inbound)
    async with open_database(tmp_path / "sessions.db", SCHEMA) as database:
        sessions = Sessions({"main": database})
        for number in ("0", "1"):
            async with sessions.open(number, inbound, route) as turn:
                await sessions.keep(turn, large)
        await database.run(spoil)
        async with sessions.open("2", inbound, route) as turn:
            assert turn.history == ({"role": "user", "content": "asked"}, *large)


async def test_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A schema version from the future is a usage error that says so, and the file stays as it is."""
    path = tmp_path / "sessions.db"
    async with open_database(path, (*SCHEMA, "CREATE TABLE later (x INTEGER) STRICT")):
        pass
    with pytest.raises(UsageError, match=f"schema version {len(SCHEMA) + 1} and this version knows {len(SCHEMA)}"):
        async with open_database(path, SCHEMA):
            pass


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Garbage in place of a database is one sentence."""
    path = tmp_path / "sessions.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(UsageError, match="can't be used"):
        async with open_database(path, SCHEMA):
            pass


async def test_cancelled_transaction_is_rolled_back(tmp_path: Path) -> None:
    """A task that is cancelled inside a transaction leaves nothing of it, and the database goes on."""
    async with open_database(tmp_path / "x.db", ("CREATE TABLE t (x INTEGER) STRICT",)) as database:

        def endless(connection: Any) -> None:
            connection.execute("INSERT INTO t VALUES (1)")
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
            ).fetchall()

        with trio.move_on_after(0.1) as scope:
            await database.run(endless)
        assert scope.cancelled_caught
        assert await database.run(lambda connection: connection.execute("SELECT count(*) FROM t").fetchall()) == [(0,)]


async def test_config_home_is_shared_by_no_two_gateways(tmp_path: Path) -> None:
    """The second gateway on a home is told the pid of the first."""
    config = make_config(tmp_path / "home")
    async with open_records(config):
        with pytest.raises(HomeBusyError, match=str(os.getpid())) as caught:
            async with open_records(config):
                pass
        assert caught.value.pid == os.getpid()
    async with open_records(config) as records:
        assert records.directory.stat().st_mode & 0o777 == 0o700


async def test_search_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """A search without end is refused in a sentence, holds up no other one for longer, and the sessions go on."""

    def endless(connection: apsw.Connection) -> object:
        return connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n").get

    async with open_database(tmp_path / "sessions.db", SCHEMA) as database:
        sessions = Sessions({"main": database})

        async def refused() -> None:
            with pytest.raises(TurnError, match=r"not done within 0\.2 s") as caught:
                await sessions.search("main", endless, timeout=0.2)
            assert caught.value.kind == "busy"

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(refused)
            found = await sessions.search("main", lambda connection: connection.execute("SELECT 1").get)
        assert found == 1
