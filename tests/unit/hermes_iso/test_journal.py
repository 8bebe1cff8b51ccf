"""The journal: everything that happened in a turn, none of what was said."""

import json
import time
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from hermes_iso import journal
from hermes_iso.errors import ModelError
from hermes_iso.journal import KEPT_SECONDS, SCHEMA, TOOL_EVENTS, open_journal
from hermes_iso.store import open_database
from hermes_iso_sandbox import wire
from tests.support.line import Chat, FakeModels, Guest, open_line


def entries(home: Path) -> list[tuple[str, int, str, dict[str, object]]]:
    """Return what the journal of a home holds: turn, number, kind, data."""
    connection = apsw.Connection(str(home / "hermes-iso" / "gateway.db"))
    rows = connection.execute("SELECT turn_id, seq, kind, data FROM journal ORDER BY at, seq").fetchall()
    connection.close()
    return [(str(turn), int(str(seq)), str(kind), json.loads(str(data))) for turn, seq, kind, data in rows]


async def test_journal_tells_a_turn_without_its_texts(tmp_path: Path) -> None:
    """Tools, model calls, sizes and the end are there, numbered; no text of the message, tool or answer is."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        await guest.say(wire.ToolCalled("1", "terminal", "SECRET-ARGUMENT"))
        await guest.say(wire.ToolReturned("1", "terminal", True, 0.25))
        await guest.ask(1, "model", messages=[{"role": "user", "content": "SECRET-PROMPT"}])
        await guest.say(wire.TextDelta("SECRET-ANSWER"))
        await guest.say(wire.TurnDone("SECRET-ANSWER"))

    home = tmp_path / "home"
    async with open_line(home, script) as (gateway, _):
        await Chat(gateway).say("SECRET-QUESTION", turn_id="t1")
    found = entries(home)
    assert [(turn, number) for turn, number, _, _ in found] == [("t1", number) for number in range(1, len(found) + 1)]
    kinds = [kind for _, _, kind, _ in found]
    assert kinds == ["tool_called", "tool_returned", "model_called", "text", "ended", "delivered"]
    assert found[3][3] == {"pieces": 1, "characters": len("SECRET-ANSWER")}
    assert "SECRET" not in json.dumps([data for *_, data in found])


async def test_journal_tells_failures(tmp_path: Path) -> None:
    """A model that failed, a turn that failed, and their kinds."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        await guest.ask(1, "model", messages=[{"role": "user", "content": "x"}])
        await guest.say(wire.TurnFailed("x", "y"))

    home = tmp_path / "home"
    async with open_line(home, script, models=FakeModels(ModelError("cut", "It broke off."))) as (gateway, _):
        await Chat(gateway).say("x")
    told = {kind: data.get("error") for _, _, kind, data in entries(home)}
    assert told["model_failed"] == told["ended"] == "cut"


async def test_cancelled_turn_is_in_the_journal(tmp_path: Path) -> None:
    """Who hangs up leaves an entry."""
    scope = trio.CancelScope()

    async def script(guest: Guest) -> None:
        await guest.hear()
        scope.cancel()
        await trio.sleep_forever()

    home = tmp_path / "home"
    async with open_line(home, script) as (gateway, pool):
        with scope:
            await Chat(gateway).say("x")
        assert (pool.living, pool.most_living) == (0, 1)
    assert [kind for _, _, kind, _ in entries(home)] == ["cancelled"]


async def test_nothing_that_was_added_is_lost_at_the_end(tmp_path: Path) -> None:
    """Entries still waiting when the journal closes, even by cancellation, are written."""
    with trio.CancelScope() as scope:
        async with open_database(tmp_path / "j.db", SCHEMA) as database, open_journal(database) as journal:
            log = journal.turn("t", "a", "key\ud800")
            for number in range(1000):
                await log.add("event", number=number)
            scope.cancel()
            await trio.sleep_forever()
    connection = apsw.Connection(str(tmp_path / "j.db"))
    assert connection.execute("SELECT count(*), max(seq) FROM journal").fetchall() == [(1000, 1000)]
    connection.close()


async def test_guests_words_in_the_journal_are_bounded(tmp_path: Path) -> None:
    """A tool's name is short and printable, however many events there are their number is bounded, and the rest is counted."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        await guest.say(wire.ToolCalled("1", "\x1b[2J\ud800\n\u202etö" + "x" * 100_000, ""))
        for _ in range(TOOL_EVENTS + 4):
            await guest.say(wire.ToolReturned("1", "terminal", True, 0.25))

    home = tmp_path / "home"
    async with open_line(home, script) as (gateway, _):
        await Chat(gateway).say("x")
    found = entries(home)
    assert found[0][3]["tool"] == ("[2Jtö" + "x" * 100)[:64]
    assert [kind for _, _, kind, _ in found[TOOL_EVENTS:]] == ["more_tool_events", "ended", "delivered"]
    assert found[TOOL_EVENTS][3] == {"not_recorded": 5}


async def test_entry_is_written_as_it_reads(tmp_path: Path) -> None:
    """Other letters than ASCII take no more room than they need, and half of a character does no harm."""
    async with open_database(tmp_path / "j.db", SCHEMA) as database:
        async with open_journal(database) as journal:
            await journal.turn("t", "a", "k").add("event", name="ö\ud800")
        assert await database.run(lambda each: each.execute("SELECT data FROM journal").fetchall()) == [('{"name":"ö?"}',)]


async def test_old_entries_are_deleted_at_the_start(tmp_path: Path) -> None:
    """What is too old goes, and of what is too much the oldest."""
    now = time.time()
    ages = [KEPT_SECONDS + 60, KEPT_SECONDS - 60, 300, 200, 100]
    async with open_database(tmp_path / "j.db", SCHEMA) as database:

        def insert(connection: apsw.Connection) -> None:
            rows = [(str(number), 1, now - age, "a", "k", "event", "{}") for number, age in enumerate(ages)]
            connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

        def turns(connection: apsw.Connection) -> list[str]:
            return [str(turn) for (turn,) in connection.execute("SELECT turn_id FROM journal ORDER BY at")]

        await database.run(insert)
        async with open_journal(database):
            assert await database.run(turns) == ["1", "2", "3", "4"]
        async with open_journal(database, kept=2):
            assert await database.run(turns) == ["3", "4"]


async def test_journal_is_kept_small_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much is deleted after so many new entries, and not only at the next start."""
    monkeypatch.setattr(journal, "SWEEP_EVERY", 10)
    async with open_database(tmp_path / "j.db", SCHEMA) as database, open_journal(database, kept=5) as opened:
        log = opened.turn("t", "a", "k")
        for number in range(40):
            await log.add("x", number=number)
            await trio.testing.wait_all_tasks_blocked()

        def count(connection: apsw.Connection) -> object:
            return connection.execute("SELECT count(*) FROM journal").get

        with trio.fail_after(10):
            while int(str(await database.run(count))) > 15:
                await trio.sleep(0.01)
