"""The Discord adapter on a server that speaks Discord's protocol, through the unmodified library."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route
from structlog.testing import capture_logs

from hermes_iso.adapter import OutboundFile
from hermes_iso.errors import AdapterError, AttachmentError, DeliveryError, InboxFullError
from hermes_iso.messages import Progress
from hermes_iso_adapters.discord import DiscordAdapter
from hermes_iso_adapters.discord_client import DiscordClient
from tests.servers.discord_server import serve_discord
from tests.servers.discord_world import FORUM, PUBLIC_THREAD
from tests.support.discord import BOT, DIRECT, GUILD, ROOM, TOKEN, account_of, furnish
from tests.support.telegram import ListIntake, ListNotes, outbound, served

pytestmark = pytest.mark.slow


async def no_pause(*_, **__):
    """Let a session begin at once."""


@pytest.fixture
async def server(monkeypatch):
    """Serve Discord; where discord.py looks for it is put back."""
    monkeypatch.setattr(Route, "BASE", "https://discord.com/api/v10")
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL("wss://gateway.discord.gg/"))
    monkeypatch.setattr("hermes_iso_adapters.discord_client.GUILDS_SECONDS", 0.05)
    monkeypatch.setattr(DiscordClient, "before_identify_hook", no_pause)  # discord.py's takes five seconds
    async with serve_discord() as server:
        furnish(server)
        yield server


async def answer(adapter, inbound, text, files=(), notes=None):
    """Bring a whole answer."""
    async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=notes or ListNotes()) as answering:
        return await answering.finish(outbound(inbound, text), files)


async def wait_until(condition):
    """Wait until something is so."""
    with trio.fail_after(15):
        while not condition():
            await trio.sleep(0.01)


async def test_a_direct_message_is_taken_and_answered(server):
    """It is for the bot without any mention."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake) as adapter:
        number = server.world.say(DIRECT, "hello")
        (inbound,) = await intake.wait_for(1)
        assert (inbound.text, inbound.user_id, inbound.platform_id) == ("hello", "7", str(number))
        assert (inbound.chat.chat_type, inbound.chat.chat_id, inbound.chat.guild_id) == ("dm", str(DIRECT), None)
        await answer(adapter, inbound, "hi there")
    assert server.world.texts(DIRECT) == ["hi there"]


async def test_a_room_is_heard_where_the_bot_is_named(server):
    """Roles, server and room are told; the bot's name is not part of the text, and other bots are not heard."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake):
        server.world.say(ROOM, "just talk")
        server.world.say(ROOM, f"<@{BOT}> from a bot", author=8, webhook_id="1")
        number = server.world.say(ROOM, f"<@{BOT}>, help me", roles=[9])
        (inbound,) = await intake.wait_for(1)
    chat = inbound.chat
    assert (inbound.text, inbound.platform_id, set(inbound.roles)) == ("help me", str(number), {"9", str(GUILD)})
    assert (chat.chat_type, chat.chat_id, chat.guild_id, chat.thread_id) == ("group", str(ROOM), str(GUILD), None)


async def test_threads_and_posts_of_forums_are_chats_with_a_parent(server):
    """And in a thread of its own, or where it has written, the bot needs not be named."""
    server.world.channel(510, GUILD, kind=FORUM)
    server.world.channel(511, GUILD, kind=PUBLIC_THREAD, parent=510, owner=BOT)
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake):
        server.world.channel(512, GUILD, kind=PUBLIC_THREAD, parent=ROOM, owner=7)
        server.world.say(511, "in the post")
        server.world.say(512, "not for the bot")
        server.world.say(512, f"<@{BOT}> in the thread")
        taken = await intake.wait_for(2)
    found = [
        (each.text, each.chat.chat_type, each.chat.chat_id, each.chat.thread_id, each.chat.parent_chat_id) for each in taken
    ]
    assert sorted(found) == [
        ("in the post", "thread", "511", "511", "510"),
        ("in the thread", "thread", "512", "512", str(ROOM)),
    ]


async def test_an_answer_begins_a_thread_where_the_config_wants_that(server):
    """Named after the question; what comes again finds the thread there."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server, auto_thread=True)), intake) as adapter:
        number = server.world.say(ROOM, f"<@{BOT}> what is a monad?")
        (inbound,) = await intake.wait_for(1)
        assert (inbound.chat.thread_id, inbound.chat.parent_chat_id) == (str(number), str(ROOM))
        await answer(adapter, inbound, "a burrito")
        await answer(adapter, inbound, "a burrito, really")
    assert server.world.texts(number) == ["a burrito", "a burrito, really"]
    assert server.asked("POST threads")[0].body["name"] == "what is a monad?"


async def test_a_streamed_answer_is_one_message_that_grows(server):
    """Noted before it is edited; typing is shown meanwhile."""
    intake, notes = ListIntake(), ListNotes()
    async with served(DiscordAdapter(account_of(server)), intake) as adapter:
        server.world.say(DIRECT, "go")
        (inbound,) = await intake.wait_for(1)
        async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=notes) as answering:
            await answering.show(Progress("text", "one"))
            await wait_until(lambda: server.world.texts(DIRECT) == ["one"] and notes.sent)
            await answering.show(Progress("text", " two"))
            await wait_until(lambda: server.world.texts(DIRECT) == ["one two"])
            last = await answering.finish(outbound(inbound, "one two three"), ())
    assert server.world.texts(DIRECT) == ["one two three"]
    assert notes.sent == [last]
    assert server.asked("POST typing")


async def test_an_answer_of_an_earlier_life_is_edited_and_a_repeated_one_is_not_sent_twice(server):
    """By the id that was noted; where nothing was, by the nonce."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake) as adapter:
        server.world.say(DIRECT, "go")
        (inbound,) = await intake.wait_for(1)
        first = await answer(adapter, inbound, "half")
        await answer(adapter, inbound, "whole", notes=ListNotes([first]))
        assert server.world.texts(DIRECT) == ["whole"]
        server.fault("cut_after", "POST messages")
        with pytest.raises(DeliveryError):
            await answer(adapter, inbound, "more")
        await answer(adapter, inbound, "more")
    assert server.world.texts(DIRECT) == ["whole", "more"]


async def test_files_come_and_go(server):
    """Those of a message can be fetched up to a limit, and only from Discord; those of an answer are sent."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake) as adapter:
        server.world.say(DIRECT, "look", attachments=[server.add_file(b"x" * 2000, "../a.txt")])
        (inbound,) = await intake.wait_for(1)
        (file,) = inbound.attachments
        assert (file.kind, file.name, file.size, file.media_type) == ("document", "../a.txt", 2000, "text/plain")
        assert await adapter.fetch(file, limit=2000) == b"x" * 2000
        for wrong, limit in ((file, 1999), (replace(file, reference="http://127.0.0.1:1/x"), 2000)):
            with pytest.raises(AttachmentError):
                await adapter.fetch(wrong, limit=limit)
        notes = ListNotes()
        await answer(adapter, inbound, "here", [OutboundFile("b.txt", "text/plain", b"content")], notes)
        await answer(adapter, inbound, "here", [OutboundFile("b.txt", "text/plain", b"content")], notes)
    sent = [each for each in server.asked("POST messages") if each.files]
    assert [list(each.files.values()) for each in sent] == [[("b.txt", b"content")]]
    assert len(notes.sent) == 2


async def test_slash_commands_are_registered_and_taken(server):
    """With what follows their name; whoever used one is told that it was taken."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake):
        await wait_until(lambda: TOKEN in server.world.commands)
        server.world.use(ROOM, "new", "topic")
        server.world.use(DIRECT, "status")
        taken = await intake.wait_for(2)
        await wait_until(lambda: len(server.asked("POST callback")) == 2)
    assert [each["name"] for each in server.world.commands[TOKEN]] == ["new", "status"]
    assert [(each.text, each.chat.chat_type, each.user_id) for each in taken] == [
        ("/new topic", "group", "7"),
        ("/status", "dm", "7"),
    ]


@pytest.mark.parametrize("how", ["cut", "reconnect", "resumable", "invalid"])
async def test_nothing_is_missed_when_the_connection_is_lost(server, how):
    """Whether the session goes on or a new one has to begin."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server, require_mention=False)), intake):
        server.world.say(ROOM, "before")
        server.world.say(DIRECT, "before")
        await intake.wait_for(2)
        if how == "cut":
            server.cut()
        else:
            server.opcode(7 if how == "reconnect" else 9, how == "resumable")
        for session in server.world.sessions.values():
            session.listener = None
        for text in ("1", "2"):
            server.world.say(ROOM, text)
            server.world.say(DIRECT, text)
        await intake.wait_for(6)
        server.world.say(ROOM, "after")
        await intake.wait_for(7)
    assert [each.text for each in intake.taken if each.chat.chat_id == str(ROOM)] == ["before", "1", "2", "after"]
    assert [each.text for each in intake.taken if each.chat.chat_id == str(DIRECT)] == ["before", "1", "2"]
    assert (6 in [op for op, _ in server.heard]) == (how != "invalid")


async def test_what_was_written_while_the_bot_was_away_is_taken_once(server):
    """In order; a message that it has already is not taken again by the adapter that comes back."""
    intake, adapter = ListIntake(), DiscordAdapter(account_of(server, require_mention=False))
    async with served(adapter, intake):
        server.world.say(ROOM, "0")
        await intake.wait_for(1)
    for number in range(1, 151):
        server.world.say(ROOM, str(number))
    async with served(DiscordAdapter(account_of(server, require_mention=False)), intake):
        await intake.wait_for(151)
    assert [each.text for each in intake.taken] == [str(number) for number in range(151)]


async def test_a_flood_is_fetched_once_there_is_room(server, monkeypatch):
    """In order: what finds no room between the threads is not lost, and nothing overtakes it."""
    monkeypatch.setattr("hermes_iso_adapters.discord.QUEUE", 3)
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server, require_mention=False)), intake) as adapter:
        for number in range(300):
            server.world.say(ROOM, str(number))
        await intake.wait_for(300)
        assert adapter.status()["caught_up"] > 0
    assert [each.text for each in intake.taken] == [str(number) for number in range(300)]


async def test_a_message_that_could_not_be_kept_comes_again(server):
    """After the restart of the adapter, from Discord; one that never can is left out at last."""
    intake, adapter = ListIntake(error=ZeroDivisionError()), DiscordAdapter(account_of(server, require_mention=False))
    server.world.say(ROOM, "poison")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await adapter.serve_adapter(intake)
    with capture_logs():  # a traceback with all of its variables takes seconds to be drawn
        async with served(adapter, intake):
            await wait_until(lambda: adapter.status()["refused"] == 1)
    async with served(adapter, intake):
        intake.error = None
        server.world.say(ROOM, "fine")
        await intake.wait_for(1)
    assert [each.text for each in intake.taken] == ["fine"]


async def test_a_full_inbox_is_told_to_the_channel_once(server):
    """The sender learns why nothing happens."""
    intake = ListIntake(error=InboxFullError("Too many messages wait here."))
    async with served(DiscordAdapter(account_of(server)), intake) as adapter:
        for _ in range(3):
            server.world.say(DIRECT, "hello")
        await wait_until(lambda: adapter.status()["refused"] == 3)
    assert server.world.texts(DIRECT) == ["Too many messages wait here."]


@pytest.mark.parametrize(
    ("kind", "malformed"),
    [
        ("MESSAGE_CREATE", {}),
        ("MESSAGE_CREATE", None),
        ("MESSAGE_CREATE", {"id": "x", "channel_id": 7}),
        ("MESSAGE_CREATE", {"id": "1", "channel_id": str(DIRECT), "author": 7, "content": ["x"]}),
        ("INTERACTION_CREATE", {"id": "1"}),
        ("GUILD_CREATE", {"id": []}),
        ("NEVER_HEARD_OF", [[[]]]),
    ],
)
async def test_a_malformed_event_spoils_no_other(server, kind, malformed):
    """It is left out, and the connection stays."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake):
        server.world.dispatch(kind, malformed)
        server.world.say(DIRECT, "after")
        await intake.wait_for(1)
    assert [op for op, _ in server.heard].count(2) == 1


@pytest.mark.parametrize(
    ("trouble", "failed", "words"),
    [
        ("revoked", True, "does not know this bot's token"),
        ("500", False, "does not serve this bot now"),
        ("connect", False, "can't be reached"),
    ],
)
async def test_why_a_bot_is_not_served_is_said_in_one_sentence(server, trouble, failed, words):
    """It holds no token, and says whether only the operator can mend it."""
    if trouble == "revoked":
        server.world.revoked.add(TOKEN)
    elif trouble == "connect":
        server.fault("connect", times=9)
    else:
        server.fault("503", "GET @me", times=99)
    adapter = DiscordAdapter(account_of(server))
    with pytest.raises(AdapterError, match=words) as caught:
        await adapter.serve_adapter(ListIntake())
    assert caught.value.failed is failed
    assert TOKEN not in str(caught.value)
    assert adapter.status()["state"] == ("failed" if failed else "backing_off")


@pytest.mark.parametrize(("fault", "again"), [("403", False), ("503", True), ("cut", True), ("429", None)])
async def test_what_became_of_an_answer_is_told(server, fault, again):
    """Whether another try can help; a short pause that Discord asks for is waited for."""
    intake = ListIntake()
    async with served(DiscordAdapter(account_of(server)), intake) as adapter:
        server.world.say(DIRECT, "go")
        (inbound,) = await intake.wait_for(1)
        server.fault(fault, "POST messages", times=1 if fault == "429" else 99, value=0.1)
        if again is None:
            await answer(adapter, inbound, "late")
            assert server.world.texts(DIRECT) == ["late"]
        else:
            with pytest.raises(DeliveryError) as caught:
                await answer(adapter, inbound, "never")
            assert caught.value.again is again


async def test_two_accounts_cannot_speak_to_different_discords(server):
    """discord.py keeps the address in one place."""
    adapter = DiscordAdapter(account_of(server))
    async with served(adapter, ListIntake()):
        with pytest.raises(AdapterError, match="one base_url"):
            await DiscordAdapter(account_of(server, base_url="http://127.0.0.1:1/api")).serve_adapter(ListIntake())


async def test_roles_count_also_for_what_was_missed(server):
    """And what stands in threads by then disturbs nothing."""
    intake = ListIntake()
    server.world.say(ROOM, f"<@{BOT}> one", roles=[9])
    number = server.world.say(ROOM, f"<@{BOT}> two", roles=[9])
    server.world.channel(number, GUILD, kind=PUBLIC_THREAD, parent=ROOM, owner=BOT)
    server.world.message(number, server.world.bot(TOKEN), content="an answer")
    async with served(DiscordAdapter(account_of(server, auto_thread=True)), intake) as adapter:
        taken = await intake.wait_for(2)
        await wait_until(lambda: adapter.status()["behind"] == 0)
    assert [set(each.roles) for each in taken] == [{"9", str(GUILD)}] * 2
