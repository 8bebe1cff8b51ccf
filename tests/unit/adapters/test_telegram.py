"""The Telegram adapter on a server that speaks Telegram's protocol, through the unmodified library."""

from __future__ import annotations

import httpx
import pytest
import trio

from hermes_iso.adapter import Call, OutboundFile
from hermes_iso.errors import AdapterError, AttachmentError, DeliveryError, InboxFullError
from hermes_iso.messages import Attachment, Progress
from hermes_iso_adapters.telegram import TelegramAdapter
from tests.servers.telegram_server import serve_telegram
from tests.support.telegram import TOKEN, ListIntake, ListNotes, account_of, outbound, served

pytestmark = pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # a request cancelled as it is sent
PRIVATE = {"id": 1, "type": "private"}


@pytest.fixture
async def server():
    """Serve Telegram."""
    async with serve_telegram() as server:
        yield server


async def answer(adapter, inbound, text, files=(), notes=None):
    """Bring a whole answer."""
    async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=notes or ListNotes()) as answering:
        return await answering.finish(outbound(inbound, text), files)


async def test_a_message_is_confirmed_only_after_it_was_taken(server):
    """While the gateway can't take it, Telegram keeps it and brings it again; then it comes once."""
    intake, adapter = ListIntake(error=AdapterError("the disk is slow")), TelegramAdapter(account_of(server))
    server.world.say(TOKEN, 42, "hello")
    for _ in range(2):
        with pytest.raises(AdapterError):
            await adapter.serve_adapter(intake)
    assert len(server.world.bots[TOKEN].updates) == 1
    intake.error = None
    async with served(adapter, intake):
        await intake.wait_for(1)
        server.world.say(TOKEN, 42, "again")
        await intake.wait_for(2)
    assert [each.text for each in intake.taken] == ["hello", "again"]


async def test_duplicated_and_reordered_updates_come_in_order_and_once(server):
    """What Telegram repeats or mixes up within an answer is put right."""
    for text in ("1", "2", "3"):
        server.world.say(TOKEN, 42, text)
    server.fault("duplicate", "getUpdates")
    server.fault("reorder", "getUpdates")
    intake = ListIntake()
    async with served(TelegramAdapter(account_of(server)), intake):
        await intake.wait_for(3)
        for text in ("4", "5"):
            server.world.say(TOKEN, 42, text)
        await intake.wait_for(5)
    assert [each.text for each in intake.taken] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    "malformed",
    [
        {"update_id": 2000},
        {"update_id": 2000, "message": 7},
        {"update_id": 2000, "message": {"message_id": "x", "chat": None}},
        {"update_id": 2000, "message": {"message_id": 1, "date": 1e30, "chat": {"id": 1, "type": "private"}}},
        {"update_id": 2000, "message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "holodeck"}, "text": "x"}},
        {
            "update_id": 2000,
            "message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": "\ud800\x00"},
        },
        {"update_id": 2000, "message": {"message_id": 1, "date": 1, "chat": {"id": 1, "type": "private"}, "text": ["x"]}},
        {"update_id": "x" * 10000},
        {},
        "text",
        None,
        [[[[]]]],
    ],
)
async def test_a_malformed_update_spoils_no_other(server, malformed):
    """It is left out, and those around it come."""
    server.world.say(TOKEN, 42, "before")
    server.world.raw(TOKEN, malformed)
    server.world.say(TOKEN, 42, "after")
    intake = ListIntake()
    async with served(TelegramAdapter(account_of(server)), intake):
        await intake.wait_for(2)
    texts = [each.text for each in intake.taken]
    assert [text for text in texts if text.isalpha()] == ["before", "after"]


async def test_an_update_that_the_gateway_can_never_take_is_left_out_at_last(server):
    """After three tries the bot goes on with the next one."""
    intake, adapter = ListIntake(error=ZeroDivisionError()), TelegramAdapter(account_of(server))
    server.world.say(TOKEN, 42, "poison")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await adapter.serve_adapter(intake)
    async with served(adapter, intake):
        with trio.fail_after(5):
            while server.world.bots[TOKEN].updates:
                await trio.sleep(0.01)
        intake.error = None
        server.world.say(TOKEN, 42, "fine")
        await intake.wait_for(1)
    assert [each.text for each in intake.taken] == ["fine"]


async def test_a_full_inbox_is_told_to_the_chat_once(server):
    """The sender learns why nothing happens, and is not told again for every message."""
    intake = ListIntake(error=InboxFullError("Too many messages wait here: send this again in a minute."))
    async with served(TelegramAdapter(account_of(server)), intake):
        for _ in range(3):
            server.world.say(TOKEN, 42, "hello")
        with trio.fail_after(5):
            while len(server.world.bots[TOKEN].updates) or not server.world.texts(42):
                await trio.sleep(0.01)
    assert server.world.texts(42) == ["Too many messages wait here: send this again in a minute."]


async def test_an_answer_grows_by_edits_of_one_message(server):
    """The first text is a message, whose id is noted; the rest comes by edits, the last of them complete."""
    intake, notes = ListIntake(), ListNotes()
    adapter = TelegramAdapter(account_of(server))
    async with served(adapter, intake):
        server.world.say(TOKEN, 42, "hello")
        [inbound] = await intake.wait_for(1)
        async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=notes) as answering:
            await answering.show(Progress("text", "one"))
            with trio.fail_after(5):
                while not server.world.texts(42):
                    await trio.sleep(0.01)
            await answering.show(Progress("text", " **two**"))
            last = await answering.finish(outbound(inbound, "one **two** three"), ())
    assert server.world.texts(42) == ["one two three"]
    assert notes.sent == [last]
    [sent] = server.asked("sendMessage")
    assert sent.params["text"] == "one"
    assert server.world.chats[42].messages[int(last)]["reply_to_message"]["text"] == "hello"
    assert {each.params["action"] for each in server.asked("sendChatAction")} == {"typing"}


async def test_an_answer_of_an_earlier_life_is_continued_in_its_own_message(server):
    """What was noted is edited, and nothing is sent twice: neither text nor files."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    files = [OutboundFile("a.txt", "text/plain", b"a"), OutboundFile("b.txt", "text/plain", b"b")]
    async with served(adapter, intake):
        server.world.say(TOKEN, 42, "hello")
        [inbound] = await intake.wait_for(1)
        notes = ListNotes()
        await answer(adapter, inbound, "begun", files[:1], notes)
        await answer(adapter, inbound, "finished", files, ListNotes(list(notes.sent)))
    assert server.world.texts(42) == ["finished", "", ""]
    assert [next(iter(each.files.values()))[0] for each in server.asked("sendDocument")] == ["a.txt", "b.txt"]


async def test_a_pause_that_telegram_wants_holds_up_that_bot_alone(server):
    """After a 429 the bot waits and then answers; another bot answers meanwhile."""
    other = "222:BBBB-second"
    adapters = {TOKEN: TelegramAdapter(account_of(server)), other: TelegramAdapter(account_of(server, other, "second"))}
    intake = ListIntake()
    async with served(adapters[TOKEN], intake), served(adapters[other], intake):
        for token, chat in ((TOKEN, 1), (other, 2)):
            server.world.say(token, chat, "hello")
        inbounds = sorted(await intake.wait_for(2), key=lambda each: each.chat.chat_id)
        server.fault("429", "sendMessage", value=1, token=TOKEN)
        done: list[str] = []

        async def bring(token, inbound):
            await answer(adapters[token], inbound, "here")
            done.append(token)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bring, TOKEN, inbounds[0])
            nursery.start_soon(bring, other, inbounds[1])
        assert done == [other, TOKEN]
        assert trio.current_time() - began >= 1
    assert (server.world.texts(1), server.world.texts(2)) == (["here"], ["here"])


@pytest.mark.parametrize(
    ("fault", "again", "words"),
    [
        ({"kind": "429", "value": 3000}, True, "pause"),
        ({"kind": "500", "times": 9}, True, "can't be reached"),
        ({"kind": "cut", "times": 9}, True, "can't be reached"),
        ({"kind": "garbage"}, False, "did not take"),
        ({"kind": "403"}, False, "refuses"),
        ({"kind": "401"}, True, "token"),
    ],
)
async def test_an_answer_that_is_not_taken_says_whether_another_try_can_help(server, fault, again, words):
    """And in no case names the token."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    async with served(adapter, intake):
        server.world.say(TOKEN, 42, "hello")
        [inbound] = await intake.wait_for(1)
        server.fault(method="sendMessage", **fault)
        with pytest.raises(DeliveryError) as caught:
            await answer(adapter, inbound, "here")
    assert caught.value.again is again
    assert words in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "state", "words"),
    [
        ("401", "failed", "token"),
        ("409", "backing_off", "Another program"),
        ("502", "backing_off", "reached"),
        ("cut", "backing_off", "reached"),
    ],
)
@pytest.mark.parametrize("method", ["getMe", "getUpdates"])
async def test_a_bot_that_can_not_be_served_says_why(server, method, fault, state, words):
    """The state and one sentence, without the token."""
    server.fault(fault, method)
    adapter = TelegramAdapter(account_of(server))
    with pytest.raises(AdapterError) as caught, trio.fail_after(10):
        await adapter.serve_adapter(ListIntake())
    assert adapter.status()["state"] == state
    assert words in str(caught.value)
    assert adapter.status()["last_error"] == str(caught.value)
    assert TOKEN not in str(caught.value)


async def test_two_pollers_of_one_bot_get_a_conflict(server):
    """The older one ends with a sentence that says so."""
    first, second = TelegramAdapter(account_of(server)), TelegramAdapter(account_of(server))
    async with trio.open_nursery() as nursery:

        async def older():
            with pytest.raises(AdapterError, match="409"):
                await first.serve_adapter(ListIntake())
            nursery.cancel_scope.cancel()

        nursery.start_soon(older)
        with trio.fail_after(5):
            while not server.asked("getUpdates"):
                await trio.sleep(0.01)
            await second.serve_adapter(ListIntake())


async def test_topics_are_kept_both_ways(server):
    """What is written in a topic is answered there; the general one is not named."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    async with served(adapter, intake):
        for thread in (7, None):
            server.world.say(TOKEN, -100, "hello", user=5, chat_type="supergroup", forum=True, thread=thread)
        for inbound in await intake.wait_for(2):
            await answer(adapter, inbound, f"in {inbound.chat.thread_id}")
    assert [each.chat.thread_id for each in intake.taken] == ["7", "1"]
    sent = [(each.params["text"], each.params.get("message_thread_id")) for each in server.asked("sendMessage")]
    assert sent == [("in 7", "7"), ("in 1", None)]


async def test_an_edit_counts_only_when_the_text_is_another(server):
    """Telegram tells of an edit too when it only adds a preview."""
    intake = ListIntake()
    async with served(TelegramAdapter(account_of(server)), intake):
        message = server.world.say(TOKEN, 42, "helo")
        server.world.edit(TOKEN, 42, message, "helo")
        server.world.edit(TOKEN, 42, message, "hello")
        server.world.say(TOKEN, 42, "last")
        await intake.wait_for(3)
    assert [each.text for each in intake.taken] == ["helo", "hello", "last"]


async def test_an_album_is_one_message(server):
    """Its pictures come together, with the text of the one that has it."""
    intake = ListIntake()
    for caption in ("two pictures", ""):
        photo = [{"file_id": f"id{caption}", "file_unique_id": "u", "width": 2, "height": 2, "file_size": 5}]
        server.world.say(TOKEN, 42, photo=photo, media_group_id="9", caption=caption)
    async with served(TelegramAdapter(account_of(server)), intake):
        [inbound] = await intake.wait_for(1)
    assert (inbound.text, [each.kind for each in inbound.attachments]) == ("two pictures", ["photo", "photo"])


async def test_files_are_fetched_up_to_a_limit(server):
    """A larger one is refused, whatever size Telegram gives it."""
    adapter = TelegramAdapter(account_of(server))
    server.world.bot(TOKEN)
    file_id = server.add_file(b"x" * 1000)
    async with served(adapter, ListIntake()):
        assert await adapter.fetch(Attachment("document", file_id), limit=1000) == b"x" * 1000
        for reference, limit in ((file_id, 999), ("unknown", 1000)):
            with pytest.raises(AttachmentError):
                await adapter.fetch(Attachment("document", reference), limit=limit)


async def test_a_huge_answer_comes_as_a_file(server):
    """Its beginning is a message, and nothing of it is lost."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    text = "word " * 50_000
    async with served(adapter, intake):
        server.world.say(TOKEN, 42, "hello")
        [inbound] = await intake.wait_for(1)
        await answer(adapter, inbound, text)
    [document] = server.asked("sendDocument")
    assert next(iter(document.files.values())) == ("answer.md", text.encode())
    assert len(server.asked("sendMessage")) == 1


async def test_telegrams_own_calls_need_the_secret(server):
    """In webhook mode an update is taken from whoever knows it, and from nobody else."""
    account = account_of(server, webhook_url="http://127.0.0.1:9/hook", webhook_secret="s" * 16)
    adapter, intake = TelegramAdapter(account), ListIntake()
    async with served(adapter, intake):
        assert server.world.bots[TOKEN].webhook == "http://127.0.0.1:9/hook"
        assert adapter.doorway is not None
        update = {"update_id": 5, "message": {"message_id": 1, "date": 1, "chat": {"id": 4, "type": "private"}, "text": "x"}}
        body = httpx.Request("POST", "http://x", json=update).content
        for secret, status in (("", 401), ("wrong", 401), ("é", 401), ("s" * 16, 200)):
            headers = {"x-telegram-bot-api-secret-token": secret}
            assert (await adapter.receive(Call("POST", "", headers=headers, body=body))).status == status
    assert [each.text for each in intake.taken] == ["x"]


async def test_a_group_that_became_a_supergroup_is_answered_there(server):
    """Telegram gives the new id with its refusal."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    async with served(adapter, intake):
        server.world.say(TOKEN, -5, "hello", user=1, chat_type="group")
        [inbound] = await intake.wait_for(1)
        server.world.chat(-1005, "supergroup")
        server.world.chats[-5].moved = -1005
        await answer(adapter, inbound, "here")
    assert server.world.texts(-1005) == ["here"]


async def test_what_is_deleted_meanwhile_is_sent_anew(server):
    """An answer whose message somebody removed still arrives."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    async with served(adapter, intake):
        server.world.say(TOKEN, 42, "hello")
        [inbound] = await intake.wait_for(1)
        await answer(adapter, inbound, "here", notes=ListNotes(["99999"]))
    assert server.world.texts(42) == ["here"]


def test_a_bot_has_a_doorway_only_in_webhook_mode():
    """And each further bot has a path of its own."""
    settings = {"webhook_url": "https://a.example/hook", "webhook_host": "::1", "webhook_port": 8443}
    base = {"base_url": "http://127.0.0.1:1/bot", **settings}

    class Nowhere:
        base_url = base["base_url"]

    default = TelegramAdapter(account_of(Nowhere(), **settings))
    other = TelegramAdapter(account_of(Nowhere(), name="sales", **settings))
    assert (default.doorway.path, other.doorway.path) == ("/hook", "/hook/sales")
    assert TelegramAdapter(account_of(Nowhere())).doorway is None


async def test_a_button_that_was_pressed_is_a_message_and_let_go(server):
    """Its data is the text, in the chat that it stands in."""
    intake, adapter = ListIntake(), TelegramAdapter(account_of(server))
    server.world.chat(42)
    message = {"message_id": 7, "date": 1, "chat": {"id": 42, "type": "private"}, "text": "Which?"}
    sender = {"id": 42, "is_bot": False, "first_name": "A"}
    async with served(adapter, intake):
        server.world.update(
            TOKEN, callback_query={"id": "q1", "from": sender, "chat_instance": "i", "data": "yes", "message": message}
        )
        [inbound] = await intake.wait_for(1)
        with trio.fail_after(5):
            while not server.asked("answerCallbackQuery"):
                await trio.sleep(0.01)
    assert (inbound.text, inbound.chat.chat_id, inbound.user_id) == ("yes", "42", "42")


@pytest.mark.parametrize("settings", [{"allowed_chats": ("-7",)}, {"allowed_topics": ("9",)}, {"ignored_threads": ("1",)}])
async def test_a_button_counts_only_where_the_bot_takes_messages(server, settings):
    """A client can send what it likes as a button's data, below any message of the bot's."""
    adapter = TelegramAdapter(account_of(server, **settings))
    chat = {"id": -42, "type": "supergroup", "title": "G", "is_forum": True}
    message = {"message_id": 7, "date": 1, "chat": chat, "text": "Which?"}
    query = {"id": "q1", "from": {"id": 42, "is_bot": False, "first_name": "A"}, "chat_instance": "i", "data": "yes"}
    async with served(adapter, ListIntake()):
        assert adapter._inbound({"update_id": 1, "callback_query": {**query, "message": message}}) is None
        allowed = {**message, "chat": {**chat, "id": -7}, "is_topic_message": True, "message_thread_id": 9}
        assert adapter._inbound({"update_id": 2, "callback_query": {**query, "message": allowed}}).text == "yes"


async def test_commands_are_shown_to_people(server):
    """Those that the gateway has."""
    adapter = TelegramAdapter(account_of(server, commands=[("new", "Begin anew.")]))
    async with served(adapter, ListIntake()):
        assert server.world.bots[TOKEN].commands == [{"command": "new", "description": "Begin anew."}]


async def test_a_question_comes_at_once_and_as_it_is(server):
    """Below what was said before it, without styles, because it may hold a command; the answer comes below it."""
    intake, notes = ListIntake(), ListNotes()
    adapter = TelegramAdapter(account_of(server))
    question = "Agent main asks for approval:\n\n    rm -rf *a* _b_ `c`\n\n/approve allows it"
    async with served(adapter, intake):
        server.world.say(TOKEN, 42, "clean up")
        [inbound] = await intake.wait_for(1)
        async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=notes) as answering:
            await answering.show(Progress("text", "I look."))
            await answering.show(Progress("question", question, "approval"))
            assert server.world.texts(42) == ["I look.", question]
            await answering.finish(outbound(inbound, "Done."), ())
    assert server.world.texts(42) == ["I look.", question, "Done."]
