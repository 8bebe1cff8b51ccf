"""gateway.db: older files, newer ones, a disk that is full, and what old rows leave."""

from __future__ import annotations

import sqlite3
import stat
import time
from dataclasses import replace

import apsw
import pytest
import trio

from hermes_iso import journal
from hermes_iso.errors import DiskFullError, UsageError
from hermes_iso.inbox import rows
from hermes_iso.inbox.schema import GATEWAY_SCHEMA
from hermes_iso.inbox.settings import InboxSettings
from hermes_iso.inbox.values import About, inbound_of, inbound_text, outbound_of_text, outbound_text
from hermes_iso.messages import Attachment, ChatRef, Inbound, Outbound, Usage
from hermes_iso.store import open_database
from tests.support.chats import MemoryChats, message
from tests.support.line import make_config, open_line


async def test_older_file_is_copied_and_brought_up_to_date(tmp_path):
    """Its entries stay, the copy is as it was, and only its owner can read that."""
    file = tmp_path / "gateway.db"
    async with open_database(file, journal.SCHEMA) as database:
        await database.run(
            lambda c: c.execute("INSERT INTO journal VALUES ('t', 1, 2.0, 'main', 'k', 'ended', '{}')").fetchall()
        )
    async with open_database(file, GATEWAY_SCHEMA) as database:
        assert await database.run(lambda c: c.execute("SELECT turn_id FROM journal").fetchall()) == [("t",)]
        assert await database.run(rows.open_rows) == []
    copy = tmp_path / "gateway.db.v1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as before:
        assert before.execute("SELECT turn_id FROM journal").fetchall() == [("t",)]
        assert before.execute("SELECT count(*) FROM sqlite_master WHERE name = 'inbox'").fetchall() == [(0,)]
    before.close()


async def test_step_that_fails_leaves_the_older_file_as_it_was(tmp_path):
    """All steps are one transaction."""
    file = tmp_path / "gateway.db"
    async with open_database(file, ("CREATE TABLE a (x);",)):
        pass
    with pytest.raises(UsageError, match="can't be used"):
        async with open_database(file, ("CREATE TABLE a (x);", "CREATE TABLE b (x);", "CREATE TABLE a (x);")):
            pass
    async with open_database(file, ("CREATE TABLE a (x);", "CREATE TABLE b (y);")) as database:
        await database.run(lambda c: c.execute("INSERT INTO b (y) VALUES (1)").fetchall())


async def test_newer_file_is_left_alone(tmp_path):
    """A file that this version does not know is not changed, and the sentence says what to do."""
    file = tmp_path / "gateway.db"
    async with open_database(file, (*GATEWAY_SCHEMA, "CREATE TABLE later (x);")):
        pass
    before = file.read_bytes()
    known = len(GATEWAY_SCHEMA)
    with pytest.raises(
        UsageError, match=f"schema version {known + 1} and this version knows {known}: use the newer hermes-iso"
    ):
        async with open_database(file, GATEWAY_SCHEMA):
            pass
    assert file.read_bytes() == before


async def test_full_disk_stops_intake_and_nothing_is_half_written(tmp_path):
    """The refusal says why; what was there stays; with room it goes on."""
    chats = MemoryChats()
    async with open_line(tmp_path / "home", chats=chats) as (gateway, _):
        inbox, database = gateway.front.inbox, gateway._services.records.gateway

        async def limit(pages):
            await database.run(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())

        await limit(1)  # which SQLite takes for the pages that there are

        async def fill():
            for number in range(200):
                await inbox.accept(message("x" * 20_000, f"full-{number}", chat=f"c{number}"))

        with pytest.raises(DiskFullError, match="takes nothing more"):
            await fill()
        taken = inbox.open
        await limit(1 << 30)
        await inbox.accept(message("after", "after"))
        with trio.fail_after(60):
            while inbox.open:
                await trio.sleep(0.05)
    assert chats.texts()[-1] == "after"
    assert len(chats.messages) == taken + 1


async def test_rows_that_ended_long_ago_are_forgotten(tmp_path):
    """Open ones never are."""
    async with open_database(tmp_path / "gateway.db", GATEWAY_SCHEMA) as database:

        def fill(connection: apsw.Connection):
            for number in range(3):
                rows.insert(connection, message("x", number, turn_id=f"t{number}"), "l", digest="", about=About())
            rows.set_done(connection, 1, "delivered", ["m1"], emptied=True)
            rows.set_done(connection, 2, "parked", [], emptied=False)

        await database.run(fill)
        assert await database.run(lambda c: rows.delete_ended(c, time.time() - 5)) == 0
        assert await database.run(lambda c: rows.delete_ended(c, time.time() + 5)) == 2
        assert [row[0] for row in await database.run(rows.open_rows)] == [3]
        await database.shrink()


async def test_delivered_message_leaves_no_text(tmp_path):
    """Of a chat's message only its place stays, so that a repeated one is known."""
    chats = MemoryChats()
    config = make_config(tmp_path / "home", inbox=InboxSettings())
    async with open_line(tmp_path / "home", chats=chats, config=config) as (gateway, _):
        await gateway.front.inbox.accept(message("a secret word"))
        await chats.wait_answers(1)
        await gateway.front.wait_idle()
        database = gateway._services.records.gateway
        found = await database.run(lambda c: c.execute("SELECT inbound, outbound, sent, state FROM inbox").fetchall())
    assert found == [("", "", '["m1"]', "delivered")]


def test_values_come_back_as_they_were():
    """What is written as text is read as the same value, whatever ids and texts hold."""
    chat = ChatRef("p", "c\u202e", "group", "t", "pc", "g", "team", "acct")
    history = ({"role": "user", "content": "x"},)
    inbound = Inbound(chat, "te\u200bxt", "1", "u", "alt", "main", "key", history, "be", "s", "p", "t")
    inbound = replace(inbound, attachments=(Attachment("photo", "r", "n"),), via=("a",), clock=True)
    assert inbound_of(inbound_text(inbound)) == inbound
    outbound = Outbound(chat, "text", "t", "main", "s", Usage(1, 2, 3), "busy", 2.5, interrupted=True)
    assert outbound_of_text(outbound_text(outbound)) == outbound
    assert outbound_of_text("") is None


async def test_half_a_surrogate_is_stored_safely(tmp_path):
    """What is no Unicode can't break a transaction."""
    async with open_database(tmp_path / "gateway.db", GATEWAY_SCHEMA) as database:
        odd = message("bad \ud800 text", "id\udfff", turn_id="t")
        for repeated in (False, True):
            taken = await database.run(lambda c: rows.insert(c, odd, "lane", digest="", about=About()))
            assert taken.repeated is repeated
        assert (await database.run(lambda c: rows.row_of(c, taken.id))).inbound.text == "bad ? text"
