"""The inbox on a gateway with scripted guests: accepted, run, answered, and what another life finds."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hermes_iso.errors import DeliveryError, DrainingError, InboxFullError
from hermes_iso.inbox.settings import InboxSettings
from hermes_iso_sandbox import wire
from tests.support.chats import MemoryChats, message
from tests.support.line import echo, make_agent, make_config, open_line


async def until(condition):
    """Wait until something is so."""
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.005)


async def test_message_is_answered_in_its_chat_once(tmp_path):
    """A message that is handed in twice is one message, with one answer."""
    chats = MemoryChats()
    async with open_line(tmp_path / "home", chats=chats) as (gateway, pool):
        await gateway.front.inbox.accept(message("hello", 1))
        await gateway.front.inbox.accept(message("hello", 1))
        await chats.wait_answers(1)
        await gateway.front.inbox.accept(message("hello", 1))
        await gateway.front.wait_idle()
    assert chats.texts() == ["hello"]
    assert len(pool.sessions) == 1


async def test_messages_of_a_chat_are_answered_in_order(tmp_path):
    """Twenty messages of two chats, each chat in its order, one at a time."""
    chats = MemoryChats()
    async with open_line(tmp_path / "home", chats=chats) as (gateway, pool):
        for number in range(20):
            await gateway.front.inbox.accept(message(f"text {number}", number, chat="ab"[number % 2]))
        await chats.wait_answers(20)
    assert chats.texts("a") == [f"text {number}" for number in range(0, 20, 2)]
    assert chats.texts("b") == [f"text {number}" for number in range(1, 20, 2)]
    assert pool.most_living <= 2


async def test_command_does_not_wait_for_the_turn_of_its_chat(tmp_path):
    """/stop reaches the turn that runs, although other messages wait before it."""
    begun = trio.Event()

    async def endless(guest):
        await guest.hear()
        begun.set()
        await guest.hear()
        await guest.say(wire.TurnDone("stopped", [], interrupted=True))

    chats = MemoryChats()
    async with open_line(tmp_path / "home", endless, chats=chats) as (gateway, pool):
        await gateway.front.inbox.accept(message("long", 1))
        await begun.wait()
        pool.script = echo
        await gateway.front.inbox.accept(message("later", 2))
        await gateway.front.inbox.accept(message("/stop", 3))
        answers = await chats.wait_answers(3)
    assert sorted(answer.text for answer in answers[:2]) == ["The running turn was stopped.", "stopped"]
    assert answers[2].text == "later"


async def test_answer_to_a_question_does_not_wait_for_the_turn_that_asks(tmp_path):
    """It overtakes what waits in its chat; that goes on in its order."""

    async def asking(guest):
        request = await guest.hear()
        if request.text != "ask":
            await guest.say(wire.TurnDone(request.text))
            return
        answer = await guest.ask(1, "ask", kind="clarify", question="Which?")
        await guest.say(wire.TurnDone(f"got {answer.data['answer']}"))

    chats = MemoryChats()
    async with open_line(tmp_path / "home", asking, chats=chats) as (gateway, _):
        await gateway.front.inbox.accept(message("ask", 1))
        await gateway.front.inbox.accept(message("later", 2))
        await until(lambda: chats.texts() == ["Which?"])
        await gateway.front.inbox.accept(message("this one", 3))
        await chats.wait_answers(3)
    assert chats.texts()[2:] == ["got this one", "later"]


async def test_answer_brings_the_files_that_it_names(tmp_path):
    """A file of the agent's workspace goes out with the answer, whose text no longer names it; any other stays a text."""
    chats = MemoryChats()
    async with open_line(tmp_path / "home", chats=chats) as (gateway, _):
        workspace = tmp_path / "home" / "workspace"
        workspace.mkdir()
        (workspace / "a.txt").write_text("mine")
        await gateway.front.inbox.accept(message("Here: MEDIA:/workspace/a.txt", 1))
        await gateway.front.inbox.accept(message("MEDIA:/etc/passwd", 2))
        await chats.wait_answers(2)
    assert chats.texts() == ["Here:", "MEDIA:/etc/passwd"]
    assert [(file.name, file.content) for file in chats.files] == [("a.txt", b"mine")]


async def test_answers_of_an_earlier_life_are_delivered(tmp_path):
    """What was answered and could not be delivered before the gateway stopped is delivered by the next one."""
    tried = trio.Event()

    def refuse(what, text):
        if what == "send":
            tried.set()
            return DeliveryError("down", again=True, after=60)
        return None

    down = MemoryChats(fault=refuse)
    async with open_line(tmp_path / "home", chats=down) as (gateway, _):
        await gateway.front.inbox.accept(message("hello"))
        await tried.wait()
        await gateway.drain()
    up = MemoryChats()
    async with open_line(tmp_path / "home", chats=up) as (gateway, pool):
        await up.wait_answers(1)
    assert up.texts() == ["hello"]
    assert pool.sessions == []


async def test_answer_that_is_on_its_way_is_not_given_up(tmp_path):
    """Who gives a message up after it was answered finds the answer, not that it was stopped."""
    tried = trio.Event()

    def refuse_once(what, text):
        if what == "send" and not tried.is_set():
            tried.set()
            return DeliveryError("down", again=True, after=0.2)
        return None

    chats = MemoryChats(fault=refuse_once)
    async with open_line(tmp_path / "home", chats=chats) as (gateway, _):
        await gateway.front.inbox.accept(message("hello", turn_id="t1"))
        await tried.wait()
        await gateway.front.cancel("t1")
        await chats.wait_answers(1)
    assert chats.texts() == ["hello"]


async def test_turn_without_tools_runs_again_in_the_next_life(tmp_path):
    """A turn that the gateway's end cut off is run again, and its message answered once."""

    async def endless(guest):
        await trio.sleep_forever()

    chats = MemoryChats()
    async with open_line(tmp_path / "home", endless, chats=chats) as (gateway, pool):
        await gateway.front.inbox.accept(message("hello"))
        await until(lambda: pool.living)
    async with open_line(tmp_path / "home", chats=chats) as (gateway, _):
        await chats.wait_answers(1)
    assert chats.texts() == ["hello"]


async def call_a_tool(guest):
    """Ask the model, which calls a tool, and hang in it."""
    await guest.hear()
    await guest.say(wire.ToolCalled("1", "terminal", "echo"))
    await trio.sleep_forever()


@pytest.mark.parametrize("resume", ["tell", "rerun"])
async def test_turn_that_called_a_tool_is_told_unless_it_may_rerun(tmp_path, resume):
    """Its chat hears what had run; with `resume: rerun` the turn runs again."""
    chats = MemoryChats()
    agents = {"main": make_agent(tmp_path / "home", resume=resume)}
    config = make_config(tmp_path / "home", agents=agents)
    async with open_line(tmp_path / "home", call_a_tool, chats=chats, config=config) as (gateway, _):
        await gateway.front.inbox.accept(message("hello"))
        await wait_all_tasks_blocked(0.05)
    async with open_line(tmp_path / "home", chats=chats, config=config) as (gateway, pool):
        await chats.wait_answers(1)
        if resume == "rerun":
            assert chats.texts() == ["hello"]
            return
        assert pool.sessions == []
        assert "it had run terminal. /retry asks it again" in chats.texts()[0]
        await gateway.front.inbox.accept(message("/retry", 2))
        await chats.wait_answers(2)
    assert chats.texts()[1] == "hello"


async def test_message_that_ends_the_gateway_each_time_is_put_aside(tmp_path):
    """After its tries it is not run any more, and its chat is told."""

    async def endless(guest):
        await trio.sleep_forever()

    chats = MemoryChats()
    for _ in range(3):
        async with open_line(tmp_path / "home", endless, chats=chats) as (gateway, pool):
            await gateway.front.inbox.accept(message("poison"))
            await until(lambda: pool.living)
    async with open_line(tmp_path / "home", chats=chats) as (gateway, pool):
        await chats.wait_answers(1)
    assert "tried 3 times" in chats.texts()[0]
    assert pool.sessions == []


async def test_streamed_answer_goes_on_in_the_same_message(tmp_path):
    """An answer that had begun to be shown is finished by editing the message that shows it."""

    async def begin(guest):
        await guest.hear()
        await guest.say(wire.TextDelta("hel"))
        await trio.sleep_forever()

    chats = MemoryChats(streams=True)
    async with open_line(tmp_path / "home", begin, chats=chats) as (gateway, _):
        await gateway.front.inbox.accept(message("hello"))
        await wait_all_tasks_blocked(0.05)
        assert chats.texts() == ["hel"]
    async with open_line(tmp_path / "home", chats=chats) as (gateway, _):
        await chats.wait_answers(1)
    assert chats.texts() == ["hello"]


async def test_full_inbox_refuses_with_one_sentence(tmp_path):
    """A chat and the gateway have bounds, and a message that is there already is no further one."""

    async def endless(guest):
        await trio.sleep_forever()

    config = make_config(tmp_path / "home", inbox=InboxSettings(max_queued=4, max_queued_per_chat=1))
    async with open_line(tmp_path / "home", endless, chats=MemoryChats(), config=config) as (gateway, _):
        accept = gateway.front.inbox.accept
        for number in range(2):
            await accept(message("x", number, chat="a"))
        with pytest.raises(InboxFullError, match="1 messages of this chat are waiting"):
            await accept(message("x", 2, chat="a"))
        await accept(message("x", 0, chat="a"))
        for number in range(3, 5):
            await accept(message("x", number, chat=f"b{number}"))
        with pytest.raises(InboxFullError, match="4 messages wait for answers"):
            await accept(message("x", 9, chat="z"))
        gateway.front.close()
        with pytest.raises(DrainingError):
            await accept(message("x", 10, chat="z"))


async def test_rejected_message_is_told_so(tmp_path):
    """Where no route takes a message, its chat hears that in one sentence."""
    chats = MemoryChats()
    config = make_config(tmp_path / "home", unmatched="reject")
    async with open_line(tmp_path / "home", chats=chats, config=config) as (gateway, pool):
        await gateway.front.inbox.accept(message("hello"))
        await chats.wait_answers(1)
    assert "Nobody here takes this message" in chats.texts()[0]
    assert pool.sessions == []
