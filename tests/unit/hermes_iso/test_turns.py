"""A turn's guest is hostile by assumption: every way it can end is one outcome, and nothing of it stays."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hermes_iso import outcomes
from hermes_iso.errors import ModelError
from hermes_iso.guest_calls import PARAMS_BYTES
from hermes_iso.messages import Outbound, Usage
from hermes_iso.tools import TOOLS
from hermes_iso_sandbox import GuestDiedError, ProtocolError, SandboxError, wire
from hermes_iso_sandbox.errors import FloodError
from tests.support.line import Chat, FakeModels, FakePool, Guest, Script, make_agent, make_config, open_line


async def outbound_of(tmp_path: Path, script: Script, **more: Any) -> Outbound:
    """Run one turn with a scripted guest."""
    async with open_line(tmp_path / "home", script, **more) as (gateway, pool):
        outbound = await Chat(gateway).say("hello")
        assert pool.living == 0
        return outbound


def saying(*messages: Any) -> Script:
    """Return a guest that takes its request and says these."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        for message in messages:
            await guest.say(message)

    return script


async def test_turn_relays_what_it_shows_in_order(tmp_path: Path) -> None:
    """Text, tools and a status reach the adapter in the order in which they were said, cleaned for one line."""
    script = saying(
        wire.ToolCalled("1", "terminal\x1b[2J", "ls\n-l"),
        wire.ToolReturned("1", "terminal", False, 0.5),
        wire.Status("asked\nagain" + 1000 * "!"),
        wire.TextDelta("a\ud800"),
        wire.TextDelta(""),
        wire.TurnDone("a"),
    )
    async with open_line(tmp_path / "home", script) as (gateway, _):
        chat = Chat(gateway)
        await chat.say("x")
        shown = [(each.kind, each.name, each.text) for each in chat.shown]
        assert shown == [
            ("tool_called", "terminal[2J", "ls -l"),
            ("tool_returned", "terminal", "failed"),
            ("status", "", outcomes.shown("asked again" + 1000 * "!")),
            ("text", "", "a?"),
        ]


@pytest.mark.parametrize(
    ("messages", "kind", "words"),
    [
        ((), "guest_died", "killed"),
        ((ProtocolError("It sent no message."),), "protocol", "no message"),
        ((FloodError("It sent too much."),), "flood", "too much"),
        ((SandboxError("bwrap: /secret/path"),), "internal", "log and `hermes-iso doctor` say why"),
        ((ValueError("a bug"),), "internal", "log says what"),
        ((wire.TurnFailed("guest_error", "It\nfailed."),), "guest_error", "It failed."),
        ((wire.TurnFailed("rate_limited", "Invented."),), "guest_error", "Invented."),
        ((wire.TurnFailed("bad_response", "No such tool."),), "bad_response", "No such tool."),
        ((wire.TurnDone("x", [{"role": "system", "content": "x"}]),), "protocol", r"messages[0].role"),
        ((wire.TurnDone("x", [{"role": "tool", "tool_call_id": "1", "content": "x"}]),), "protocol", "tool_call_id"),
    ],
)
async def test_every_bad_end_is_one_sentence_of_its_kind(
    tmp_path: Path, messages: tuple[Any, ...], kind: str, words: str
) -> None:
    """A guest that dies, floods, lies or reports a failure gives an outbound with `error`, never silence or a traceback."""
    outbound = await outbound_of(tmp_path, saying(*messages))
    assert outbound.error == kind
    assert words in outbound.text
    assert "/secret" not in outbound.text


async def test_model_failure_is_told_in_the_brokers_words(tmp_path: Path) -> None:
    """What the guest says about a model that failed on the trusted side counts for nothing."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        answer = await guest.ask(1, "model", messages=[{"role": "user", "content": "x"}])
        assert (answer.ok, answer.data["kind"]) == (False, "rate_limited")
        await guest.say(wire.TurnFailed("timeout", "Something else."))

    models = FakeModels(ModelError("rate_limited", "Provider x takes no more.", 9.0))
    outbound = await outbound_of(tmp_path, script, models=models)
    assert (outbound.error, outbound.text, outbound.retry_after) == ("rate_limited", "Provider x takes no more.", 9.0)


async def test_model_call_gets_settings_and_tools_from_the_gateway(tmp_path: Path) -> None:
    """Whatever the guest names, only its messages are used; the answer streams to it and usage adds up."""
    heard: list[Any] = []

    async def script(guest: Guest) -> None:
        await guest.hear()
        params = {"messages": [{"role": "user", "content": "x"}], "model": "other", "tools": [], "base_url": "http://evil"}
        await guest.say(wire.BrokerCall(1, "model", params))
        heard.extend([await guest.hear(), await guest.hear()])
        await guest.ask(2, "model", messages=[{"role": "user", "content": "y"}])
        await guest.say(wire.TurnDone("ok"))

    models = FakeModels()
    outbound = await outbound_of(tmp_path, script, models=models)
    assert heard[0] == wire.BrokerChunk(1, {"text": "word"})
    assert heard[1].data == {"message": {"role": "assistant", "content": "word"}, "finish_reason": "stop"}
    assert [tool.name for tool in models.calls[0].tools] == [name for name in TOOLS if name != "send_message"]
    assert models.calls[0].settings.provider == "builtin"
    assert outbound.usage == Usage(6, 4, 2)


async def test_unknown_method_is_an_error_answer(tmp_path: Path) -> None:
    """A call that the broker does not know fails alone; the turn goes on."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        answer = await guest.ask(1, "secrets")
        await guest.say(wire.TurnDone(answer.data["kind"]))

    assert (await outbound_of(tmp_path, script)).text == "unknown_method"


async def test_fifth_open_call_is_a_flood(tmp_path: Path) -> None:
    """A guest with more than four calls at a time is ended."""

    class Stuck(FakeModels):
        async def complete(self, call: Any, on_text: Any) -> Any:
            await trio.sleep_forever()

    calls = [wire.BrokerCall(number, "model", {"messages": [{"role": "user", "content": "x"}]}) for number in range(5)]
    outbound = await outbound_of(tmp_path, saying(*calls), models=Stuck())
    assert outbound.error == "flood"


async def test_call_that_is_too_long_is_a_flood(tmp_path: Path) -> None:
    """What a guest asks for besides models is short; what it asks a model may be long."""
    long = "x" * PARAMS_BYTES
    outbound = await outbound_of(tmp_path, saying(wire.BrokerCall(1, "process", {"action": "start", "command": long})))
    assert (outbound.error, "64 KiB" in outbound.text) == ("flood", True)

    async def script(guest: Guest) -> None:
        await guest.hear()
        answer = await guest.ask(1, "model", messages=[{"role": "user", "content": long}])
        await guest.say(wire.TurnDone(str(answer.ok)))

    assert (await outbound_of(tmp_path, script)).text == "True"


class Hasty(FakePool):
    """Its leases have thousands of messages there at once, so that taking one never waits."""

    @asynccontextmanager
    async def lease(self, confinement: Any, *, session: str) -> AsyncIterator[Any]:
        messages: list[Any] = [wire.TurnDone("done"), *[wire.TextDelta("")] * 5000]

        class Lease:
            processes = None

            async def send(self, message: Any) -> None:
                pass

            async def receive(self) -> Any:
                if not messages:
                    raise GuestDiedError("It ended.", 0)
                return messages.pop()

        yield Lease()


async def test_others_run_while_a_guest_says_thousands_of_things(tmp_path: Path) -> None:
    """However fast messages come, no turn keeps the event loop to itself."""
    steps = 0

    async def count() -> None:
        nonlocal steps
        while True:
            await trio.lowlevel.checkpoint()
            steps += 1

    async with open_line(tmp_path / "home", pool=Hasty(saying())) as (gateway, _), trio.open_nursery() as nursery:
        nursery.start_soon(count)
        assert (await Chat(gateway).say("x")).text == "done"
        nursery.cancel_scope.cancel()
    assert steps >= 5000


async def test_frames_after_the_last_one_count_for_nothing(tmp_path: Path) -> None:
    """The first end is the end."""
    script = saying(wire.TurnDone("first"), wire.TextDelta("late"), wire.TurnDone("second"))
    assert (await outbound_of(tmp_path, script)).text == "first"


async def test_turn_over_its_time_is_ended(tmp_path: Path) -> None:
    """turn_timeout ends the lease and says so."""
    home = tmp_path / "home"
    config = make_config(home, agents={"main": make_agent(home, turn_timeout=0.05)})

    async def script(guest: Guest) -> None:
        await trio.sleep_forever()

    outbound = await outbound_of(tmp_path, script, config=config)
    assert outbound.error == "timeout"
    assert "0.05 s" in outbound.text


async def test_message_that_fits_no_frame_is_refused(tmp_path: Path) -> None:
    """A text over the frame limit is one clear error."""
    async with open_line(tmp_path / "home") as (gateway, _):
        assert (await Chat(gateway).say("x" * (1 << 20))).error == "too_long"


async def test_interrupt_reaches_the_guest_which_may_answer(tmp_path: Path) -> None:
    """An interrupted guest that ends by itself gives its partial answer."""

    async def script(guest: Guest) -> None:
        await guest.hear()
        assert isinstance(await guest.hear(), wire.Interrupt)
        await guest.say(wire.TurnDone("so far", interrupted=True))

    async with open_line(tmp_path / "home", script) as (gateway, pool), trio.open_nursery() as nursery:
        chat = Chat(gateway)

        async def ask() -> None:
            await chat.say("x", session_id="s")

        nursery.start_soon(ask)
        while not pool.living:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert "Nothing runs" in (await Chat(gateway).say("/stop", session_id="other")).text
        assert "Nothing runs" in (await Chat(gateway).say("/stop", session_id="s", namespace="dev")).text
        assert "was stopped" in (await Chat(gateway).say("/stop", session_id="s")).text
    assert [(each.text, each.error, each.interrupted) for each in chat.delivered] == [("so far", None, True)]


async def test_interrupt_that_is_ignored_ends_the_turn_after_its_grace(tmp_path: Path) -> None:
    """A guest that goes on is ended."""

    async def script(guest: Guest) -> None:
        await trio.sleep_forever()

    async with open_line(tmp_path / "home", script, grace=0.05) as (gateway, pool), trio.open_nursery() as nursery:
        chat = Chat(gateway)

        async def ask() -> None:
            await chat.say("x", session_id="s")

        nursery.start_soon(ask)
        while not pool.living:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await Chat(gateway).say("/stop", session_id="s")
    assert [(each.error, each.interrupted) for each in chat.delivered] == [("interrupted", True)]


async def test_cancelled_turn_leaves_its_lease(tmp_path: Path) -> None:
    """Cancelling passes, after the lease was left; nothing is delivered."""
    pool = FakePool(saying())

    async def script(guest: Guest) -> None:
        await trio.sleep_forever()

    pool.script = script
    async with open_line(tmp_path / "home", pool=pool) as (gateway, _):
        chat = Chat(gateway)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    await chat.say("x")

                nursery.start_soon(ask)
                while not pool.living:
                    await trio.testing.wait_all_tasks_blocked(0.01)
                scope.cancel()
        assert (pool.living, chat.delivered) == (0, [])
