"""Messages that come while a turn of their session runs, by what the config says of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hermes_iso_sandbox import wire
from tests.support.chats import MemoryChats, message
from tests.support.line import Chat, Guest, make_agent, make_config, open_line
from tests.unit.commands.test_line import Recorder, wait_for


async def two_messages(tmp_path: Path, mode: Any, *, platform: str = "telegram", text: str = "more") -> tuple[Chat, Recorder]:
    """Send a message while another one's turn runs; return what became of both once the turn may end."""
    home = tmp_path / "home"
    recorder = Recorder()
    config = make_config(home, agents={"main": make_agent(home, busy_input_mode=mode)})
    async with open_line(home, recorder, config=config) as (gateway, _), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        nursery.start_soon(lambda: chat.say("wait", platform=platform, user_id="7"))
        await wait_for(recorder, 1)
        nursery.start_soon(lambda: chat.say(text, platform=platform, user_id="7"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        if mode == "interrupt":  # nothing but the second message ends the first one's turn
            with trio.fail_after(10):
                while len(chat.delivered) < 2:
                    await trio.testing.wait_all_tasks_blocked(0.005)
        recorder.go.set()
    return chat, recorder


async def test_message_waits_where_nothing_else_is_said(tmp_path: Path) -> None:
    """Both are answered, in their order."""
    chat, _ = await two_messages(tmp_path, "queue")
    assert [each.text for each in chat.delivered] == ["re wait", "re more"]


async def test_message_is_told_to_the_running_turn(tmp_path: Path) -> None:
    """Its sender hears that; it is no turn of its own, and stands in the history where it was said."""
    chat, recorder = await two_messages(tmp_path, "steer")
    assert [each.text for each in chat.delivered] == ["The running turn has it.", "re wait"]
    assert len(recorder.requests) == 1


async def test_message_ends_the_running_turn_and_is_the_next(tmp_path: Path) -> None:
    """The first one's answer is what it had said; the second one's follows."""
    chat, recorder = await two_messages(tmp_path, "interrupt")
    assert [each.text for each in chat.delivered] == ["re wait", "re more"]
    assert len(recorder.requests) == 2


@pytest.mark.parametrize(("platform", "text"), [("api_server", "more"), ("telegram", "/queue more")])
async def test_queued_and_http_messages_always_wait(tmp_path: Path, platform: str, text: str) -> None:
    """/queue says so; and whoever asks over HTTP waits for an answer of its own."""
    chat, recorder = await two_messages(tmp_path, "steer", platform=platform, text=text)
    assert [each.text for each in chat.delivered] == ["re wait", "re more"]
    assert len(recorder.requests) == 2


async def test_message_in_the_inbox_reaches_the_running_turn(tmp_path: Path) -> None:
    """It does not wait in its chat's lane for what it is to end."""

    async def until_stopped(guest: Guest) -> None:
        request = await guest.hear()
        if request.text == "wait":
            await guest.hear()
        await guest.say(wire.TurnDone("re " + request.text))

    home = tmp_path / "home"
    config = make_config(home, agents={"main": make_agent(home, busy_input_mode="interrupt")})
    chats = MemoryChats()
    async with open_line(home, until_stopped, config=config, chats=chats) as (gateway, pool):
        await gateway.front.inbox.accept(message("wait", 1))
        with trio.fail_after(10):
            while not pool.living:
                await trio.sleep(0.005)
        await gateway.front.inbox.accept(message("more", 2))
        await chats.wait_answers(2)
    assert chats.texts() == ["re wait", "re more"]
