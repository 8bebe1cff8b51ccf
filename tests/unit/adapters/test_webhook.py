"""The webhook adapter: what is signed is taken once, what is not learns nothing, and answers go where they may."""

from __future__ import annotations

import json
import time

import pytest
import trio
import trio.testing

from hermes_iso.adapter import Call, CallAnswer, ChatAccount, Doorway, OutboundFile
from hermes_iso.doorways import Doorways
from hermes_iso.errors import DeliveryError, DrainingError, InboxFullError
from hermes_iso.messages import Progress
from hermes_iso_adapters.webhook import SHELF_CHARS, WebhookAdapter, sign
from tests.support.telegram import ListIntake, ListNotes, outbound

SECRET = "a-secret-of-a-bridge"
CHAT = {"id": "C1", "type": "channel", "thread_id": "t", "guild_id": "g", "team_id": "T1", "parent_id": "P"}
MESSAGE = {"id": "m-1", "text": "hello", "chat": CHAT, "user_id": "u1", "account_id": "inst-7"}


def bridge(**settings):
    """Return an adapter that has begun to serve, and its intake."""
    account = ChatAccount(
        "webhook", "a365", SECRET, None, {"host": "127.0.0.1", "port": 1, "platform": "teams", "callback_urls": (), **settings}
    )
    adapter, intake = WebhookAdapter(account), ListIntake()
    adapter._intake = intake
    return adapter, intake


def signed(message, *, secret=SECRET, age=0, method="POST", path="", stamp=None, **query):
    """Return a call as a bridge makes it."""
    body = b"" if method == "GET" else message if isinstance(message, bytes) else json.dumps(message).encode()
    stamp = str(int(time.time()) - age) if stamp is None else stamp
    content = path.encode() if method == "GET" else body
    headers = {"x-webhook-timestamp": stamp, "x-webhook-signature-v2": sign(secret, stamp, content)}
    return Call(method, path, query, headers, body)


async def test_a_signed_message_is_taken_with_what_routes_can_match():
    """Platform, chat, topic, user and the ids of account, guild and team."""
    adapter, intake = bridge()
    answer = await adapter.receive(signed(MESSAGE))
    assert (answer.status, answer.body) == (202, {"status": "accepted", "id": "m-1"})
    [inbound] = intake.taken
    chat = inbound.chat
    assert (chat.platform, chat.chat_id, chat.chat_type, chat.thread_id) == ("teams", "C1", "channel", "t")
    assert (chat.guild_id, chat.team_id, chat.parent_chat_id, chat.account_id) == ("g", "T1", "P", "a365/inst-7")
    assert (inbound.text, inbound.user_id) == ("hello", "u1")


@pytest.mark.parametrize(
    "options",
    [{"secret": "another secret of it"}, {"age": 301}, {"age": -400}, {"stamp": ""}, {"stamp": "now"}, {"stamp": "9" * 40}],
)
async def test_what_is_not_signed_now_is_refused_without_a_word(options):
    """A wrong secret, an old or strange timestamp: 401 and nothing else."""
    adapter, intake = bridge()
    answer = await adapter.receive(signed(MESSAGE, **options))
    assert (answer.status, answer.body, intake.taken) == (401, None, [])
    assert (await adapter.receive(Call("POST", "", {}, {}, b"{}"))).status == 401


async def test_a_changed_body_or_timestamp_breaks_the_signature():
    """Both are signed."""
    adapter, _ = bridge()
    call = signed(MESSAGE)
    changed = Call("POST", "", {}, dict(call.headers), call.body.replace(b"hello", b"hella"))
    later = Call("POST", "", {}, {**call.headers, "x-webhook-timestamp": str(int(time.time()) + 5)}, call.body)
    assert [(await adapter.receive(each)).status for each in (changed, later)] == [401, 401]


async def test_a_replayed_request_is_refused_and_a_repeated_message_is_the_same():
    """Byte for byte it is a replay; signed anew it is the bridge's second try."""
    adapter, intake = bridge()
    call = signed(MESSAGE, age=2)
    assert [(await adapter.receive(call)).status for _ in range(2)] == [202, 409]
    assert (await adapter.receive(signed(MESSAGE))).status == 202
    assert len(intake.taken) == 1


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"no JSON", "JSON"),
        (b"[" * 100_000, "JSON"),
        ([], "object"),
        ({}, "chat"),
        ({**MESSAGE, "id": "a b"}, "id"),
        ({**MESSAGE, "id": "m" * 129}, "id"),
        ({**MESSAGE, "text": 7}, "text"),
        ({**MESSAGE, "text": " "}, "text"),
        ({**MESSAGE, "text": "x" * 200_001}, "text"),
        ({**MESSAGE, "chat": {"id": 7}}, "id"),
        ({**MESSAGE, "chat": {}}, "chat.id"),
        ({**MESSAGE, "chat": {"id": "a\nb"}}, "id"),
        ({**MESSAGE, "user_id": "u" * 257}, "user_id"),
        ({**MESSAGE, "callback_url": "https://evil.example/"}, "callback_url"),
        ({**MESSAGE, "in_reply_to": "m-0", "agent": "main", "error": None, "files": []}, "in_reply_to"),
    ],
)
async def test_a_malformed_message_is_refused_with_its_field(message, words):
    """Whoever knows the secret is told what is wrong."""
    adapter, intake = bridge()
    answer = await adapter.receive(signed(message))
    assert (answer.status, intake.taken) == (400, [])
    assert words in answer.body["error"]


async def test_a_text_with_halves_of_characters_can_be_stored():
    """What no file and no database takes is replaced."""
    adapter, intake = bridge()
    await adapter.receive(signed(b'{"id": "1", "text": "a\\ud800\\u0000b", "chat": {"id": "c"}}'))
    assert intake.taken[0].text == "a\ufffdb"


async def test_a_full_inbox_says_when_to_try_again():
    """429 with Retry-After; the same request is no replay then."""
    adapter, intake = bridge()
    call, intake.error = signed(MESSAGE), InboxFullError("Full.", 7)
    answer = await adapter.receive(call)
    assert (answer.status, answer.headers) == (429, {"retry-after": "8"})
    intake.error = DrainingError("Later.")
    with pytest.raises(DrainingError):
        await adapter.receive(call)
    intake.error = None
    assert (await adapter.receive(call)).status == 202


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://bridge.example/answers", 202),
        ("https://bridge.example/answers/1?x=y", 202),
        ("https://bridge.example/answersX", 400),
        ("https://bridge.example/answers/../admin", 400),
        ("https://bridge.example/answers/%2e%2e/admin", 400),
        ("https://bridge.example:444/answers", 400),
        ("https://user@bridge.example/answers", 400),
        ("http://bridge.example/answers", 400),
        ("https://bridge.example.evil/answers", 400),
        ("http://[::1", 400),
    ],
)
async def test_an_answer_goes_only_where_the_list_allows(url, status):
    """The same scheme, host and port, and a path at or below one that is listed."""
    adapter, _ = bridge(callback_urls=("https://bridge.example/answers",))
    assert (await adapter.receive(signed({**MESSAGE, "callback_url": url}))).status == status


async def test_an_answer_waits_to_be_fetched(autojump_clock):
    """It is delivered once the bridge has asked for it, and can be asked for again."""
    adapter, intake = bridge()
    await adapter.receive(signed(MESSAGE))
    [inbound] = intake.taken
    path = "/answers/m-1"
    assert (await adapter.receive(signed(None, method="GET", path=path))).status == 202
    done: list[str] = []

    async def deliver():
        async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=ListNotes()) as answering:
            done.append(await answering.finish(outbound(inbound, "here"), ()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver)
        for _ in range(2):
            answer = await adapter.receive(signed(None, method="GET", path=path, wait="20"))
            assert (answer.status, answer.body["text"], answer.body["in_reply_to"]) == (200, "here", "m-1")
    assert done == ["turn"]
    assert (await adapter.receive(signed(None, method="GET", path=path, secret="x" * 20))).status == 401


async def given_up(adapter, answer):
    """Deliver an answer that has to go before anybody fetches it."""
    with pytest.raises(DeliveryError, match="did not fetch"):
        await adapter.deliver("m-0", "", answer)


async def test_only_so_much_lies_on_the_shelf():
    """An agent says how large its answers are, and they all lie in the memory of the gateway."""
    adapter, _ = bridge()
    large = {"text": "", "files": [{"name": "a", "content": "x" * (SHELF_CHARS // 4)}]}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given_up, adapter, large)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(1, 6):
            adapter._shelf.put(f"m-{number}", large)
    assert list(adapter._shelf.ready) == ["m-2", "m-3", "m-4", "m-5"] == list(adapter._shelf.fetched)


async def test_an_answer_that_nobody_fetches_is_given_up(autojump_clock):
    """After ten minutes, with a reason."""
    adapter, intake = bridge()
    await adapter.receive(signed(MESSAGE))
    with pytest.raises(DeliveryError, match="did not fetch"):
        async with adapter.answering(intake.taken[0].chat, reply_to="m-1 ", notes=ListNotes()) as answering:
            await answering.finish(outbound(intake.taken[0], "here"), ())


async def test_an_answer_is_posted_signed_and_again_while_the_bridge_can_not_take_it():
    """What a failing bridge says decides whether another try can help."""
    posted: list[Call] = []
    answers = [CallAnswer(503, headers={"retry-after": "7"}), CallAnswer(404), CallAnswer(302), CallAnswer(204)]

    async def receive(call):
        posted.append(call)
        return answers[len(posted) - 1]

    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/answers"
    adapter, intake = bridge(callback_urls=(url,))
    await adapter.receive(signed({**MESSAGE, "callback_url": f"{url}/1"}))
    [inbound] = intake.taken

    async def deliver():
        async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=ListNotes()) as answering:
            return await answering.finish(outbound(inbound, "here"), [OutboundFile("a.txt", "text/plain", b"hi")])

    async with trio.open_nursery() as nursery, Doorways(nursery).opened(Doorway("127.0.0.1", port, "/answers"), receive):
        for again, after in ((True, 7.0), (False, None), (False, None)):
            with pytest.raises(DeliveryError) as caught:
                await deliver()
            assert (caught.value.again, caught.value.after) == (again, after)
        assert await deliver() == "turn"
        nursery.cancel_scope.cancel()
    call = posted[-1]
    assert call.headers["x-webhook-signature-v2"] == sign(SECRET, call.headers["x-webhook-timestamp"], call.body)
    told = json.loads(call.body)
    assert (call.path, told["text"], told["in_reply_to"], told["id"]) == ("/1", "here", "m-1", "turn")
    assert told["files"] == [{"name": "a.txt", "media_type": "text/plain", "content": "aGk="}]
    with pytest.raises(DeliveryError) as caught:
        await deliver()
    assert caught.value.again


async def test_a_question_lies_where_the_answer_will_lie():
    """The bridge that asks for the answer finds it there, and the answer afterwards: so its people can be asked."""
    adapter, intake = bridge()
    await adapter.receive(signed(MESSAGE))
    [inbound] = intake.taken
    assert inbound.answerable
    async with adapter.answering(inbound.chat, reply_to=inbound.platform_id, notes=ListNotes()) as answering:
        await answering.show(Progress("question", "Which one?", "clarify"))
        answer = await adapter.receive(signed(None, method="GET", path="/answers/m-1"))
    assert answer.body == {"in_reply_to": "m-1", "chat": {"id": "C1"}, "question": "Which one?"}
