"""Tests of hermes_iso.broker.messages: who writes to whom is the gateway's word, and no message goes far or in circles."""

from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hermes_iso.agents import Contacts
from hermes_iso.broker.messages import ANSWER_CHARS, MESSAGE_CHARS, PER_TURN
from hermes_iso.config.schema import Config
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso_sandbox import Limits, wire
from tests.support.line import Chat, Guest, make_agent, make_config, open_line

NAMES = ("main", "b", "c", "d", "e")
EVERYBODY = Contacts(NAMES, NAMES)


def config_of(home: Path, **changes: Contacts) -> Config:
    """Return a config whose agents may all write to each other, but for these."""
    agents = {name: make_agent(home, name, contacts=changes.get(name, EVERYBODY)) for name in NAMES}
    return make_config(home, agents=agents)


class Town:
    """Guests that do what they are told by name: `plan` says what each asks, everybody else answers."""

    def __init__(self, **plan: list[dict[str, Any]]) -> None:
        self.plan = plan
        self.requests: list[wire.TurnRequest] = []
        self.answers: dict[str, list[wire.BrokerAnswer]] = {}

    async def script(self, guest: Guest) -> None:
        request = await guest.hear()
        self.requests.append(request)
        for number, params in enumerate(self.plan.get(request.agent, []), start=1):
            answer = await guest.ask(number, "send_message", **params)
            self.answers.setdefault(request.agent, []).append(answer)
        await guest.say(wire.TurnDone(f"answer of {request.agent}"))


@asynccontextmanager
async def town(home: Path, config: Config | None = None, **plan: list[dict[str, Any]]) -> Any:
    """Open a line of such guests."""
    people = Town(**plan)
    async with open_line(home, people.script, config=config or config_of(home)) as (gateway, _):
        yield people, Chat(gateway)


def to(name: str, message: str = "hello") -> dict[str, Any]:
    """Return what asks for a message to an agent."""
    return {"target": f"agent:{name}", "message": message}


async def test_message_takes_a_turn_of_its_receiver(tmp_path: Path) -> None:
    """In a session of the two, marked with who wrote it, and its answer comes back."""
    async with town(tmp_path / "home", main=[to("b", "/new how are you?")]) as (people, chat):
        assert (await chat.say("go")).text == "answer of main"
        request = people.requests[1]
        assert (request.agent, request.session_key) == ("b", "agent:b:agent:dm:main")
        assert request.text == "[Message from agent main]\n/new how are you?"
        assert "agent main, which is another agent and not a person" in request.instructions
        assert people.answers["main"] == [
            wire.BrokerAnswer(1, True, {"success": True, "target": "agent:b", "answer": "answer of b"})
        ]
        assert [outbound.agent for outbound in chat.delivered] == ["main"]
        await chat.say("again")
        assert len(people.requests[3].history) == 2, "the next message of the same sender goes on with their session"


@pytest.mark.parametrize("scope", ["per-chat", "per-peer", "main"])
async def test_agents_and_people_never_share_a_session(tmp_path: Path, scope: Any) -> None:
    """However direct chats are put together, a message of an agent is in none of theirs, nor in another agent's."""
    config = replace(config_of(tmp_path / "home"), dm_scope=scope)
    async with town(tmp_path / "home", config, main=[to("b")], c=[to("b")]) as (people, chat):
        await chat.say("a secret", agent="b", user_id="main")
        for sender in ("main", "c"):
            await chat.say("go", agent=sender)
        assert [request.history for request in people.requests if request.agent == "b"] == [[], [], []]


@pytest.mark.parametrize(
    ("sender", "receiver", "words"),
    [
        (Contacts((), NAMES), EVERYBODY, "agent main may not write to agent b: its messages.to does not name b"),
        (Contacts(("c",), NAMES), EVERYBODY, "agent main may not write to agent b: its messages.to does not name b"),
        (EVERYBODY, Contacts(NAMES, ()), "agent b takes no messages of agent main: its messages.from does not name main"),
        (EVERYBODY, Contacts(NAMES, ("c",)), "agent b takes no messages of agent main: its messages.from does not name main"),
    ],
)
async def test_message_needs_the_word_of_both_sides(tmp_path: Path, sender: Contacts, receiver: Contacts, words: str) -> None:
    """The one that is missing is named, and no turn begins."""
    config = config_of(tmp_path / "home", main=sender, b=receiver)
    async with town(tmp_path / "home", config, main=[to("b"), {"action": "list"}]) as (people, chat):
        await chat.say("go")
        if not sender.to:
            assert "send_message" not in people.requests[0].tools
            assert people.answers["main"][0].data["kind"] == "not_granted"
            return
        answer, targets = people.answers["main"]
        assert answer.data == {"kind": "refused", "message": f"The message was not sent: {words}."}
        assert "agent:b" not in [each["target"] for each in targets.data["targets"]]
        assert len(people.requests) == 1


async def test_tool_must_be_granted(tmp_path: Path) -> None:
    """A guest whose policy denies the tool is refused however it asks."""
    home = tmp_path / "home"
    config = config_of(home)
    main = replace(config.agents["main"], policy=ToolPolicy((Layer("agent", deny=frozenset({"send_message"})),)))
    config = replace(config, agents={**config.agents, "main": main})
    async with town(home, config, main=[to("b"), {"action": "list"}]) as (people, chat):
        await chat.say("go")
        assert [answer.data["kind"] for answer in people.answers["main"]] == ["not_granted"] * 2


@pytest.mark.parametrize(
    ("params", "kind", "words"),
    [
        ({}, "bad_params", "needs a target"),
        ({"target": "agent:b"}, "bad_params", "needs a message as text"),
        ({"target": "agent:b", "message": " "}, "bad_params", "needs a message as text"),
        ({"target": "agent:b", "message": 5}, "bad_params", "needs a message as text"),
        ({"target": ["agent:b"], "message": "x"}, "bad_params", "needs a target"),
        ({"target": "agent:", "message": "x"}, "refused", "does not name"),
        ({"target": "telegram:-100:7", "message": "x"}, "refused", "no account of telegram is served"),
        ({"target": "b", "message": "x"}, "refused", "is no chat"),
        ({"target": "agent:b", "message": "x" * (MESSAGE_CHARS + 1)}, "bad_params", "write less"),
        ({"action": "react", "target": "agent:b"}, "bad_params", "must be send or list"),
        ({"target": "agent:main", "message": "x"}, "refused", "can't write to itself"),
        ({"target": "agent:nobody", "message": "x"}, "refused", "does not name nobody"),
        ({"target": "agent:b", "message": "x", "via": []}, "", ""),
    ],
)
async def test_malformed_message_is_refused_with_what_to_do(
    tmp_path: Path, params: dict[str, Any], kind: str, words: str
) -> None:
    """Whatever a guest says; keys that it adds count for nothing."""
    async with town(tmp_path / "home", main=[params]) as (people, chat):
        await chat.say("go")
        answer = people.answers["main"][0]
        assert answer.data.get("kind", "") == kind
        assert words in answer.data.get("message", "")
        assert len(people.requests) == (1 if kind else 2)


async def test_message_goes_through_three_agents_at_most(tmp_path: Path) -> None:
    """The fourth is refused; the answers come back through all of them."""
    plan = {"main": [to("b")], "b": [to("c")], "c": [to("d")], "d": [to("e")]}
    async with town(tmp_path / "home", **plan) as (people, chat):
        assert (await chat.say("go")).text == "answer of main"
        assert [request.agent for request in people.requests] == ["main", "b", "c", "d"]
        refused = people.answers["d"][0].data["message"]
        assert refused.endswith("came through 4 agents already, and 3 is the most: main, b, c, d.")
        assert people.answers["c"][0].data["answer"] == "answer of d"


async def test_message_never_goes_in_a_circle(tmp_path: Path) -> None:
    """An agent that waits for an answer can't be asked for it."""
    async with town(tmp_path / "home", main=[to("b")], b=[to("main"), to("c"), {"action": "list"}]) as (people, chat):
        await chat.say("go")
        circle, _, targets = people.answers["b"]
        assert "agent main waits for this very answer: what it asked came through main, b" in circle.data["message"]
        assert [each["name"] for each in targets.data["targets"]] == ["c", "d", "e"]
        assert [request.agent for request in people.requests] == ["main", "b", "c"]


async def test_a_turn_may_send_a_few(tmp_path: Path) -> None:
    """After that it has to answer with what there is."""
    async with town(tmp_path / "home", main=[to("b")] * (PER_TURN + 1)) as (people, chat):
        await chat.say("go")
        assert [answer.ok for answer in people.answers["main"]] == [True] * PER_TURN + [False]
        assert people.answers["main"][-1].data["kind"] == "too_many"


async def test_failed_turn_of_the_receiver_is_told(tmp_path: Path) -> None:
    """The sender hears why, in the words that a person would get; a long answer is cut."""

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        if request.agent == "main":
            failed = await guest.ask(1, "send_message", **to("b"))
            long = await guest.ask(2, "send_message", **to("c"))
            assert len(long.data["answer"]) < ANSWER_CHARS + 100
            assert long.data["answer"].endswith("[5 more characters were cut.]")
            await guest.say(wire.TurnDone(failed.data["message"]))
        elif request.agent == "c":
            await guest.say(wire.TurnDone("x" * (ANSWER_CHARS + 5)))

    async with open_line(tmp_path / "home", script, config=config_of(tmp_path / "home")) as (gateway, _):
        outbound = await Chat(gateway).say("go")
        assert outbound.text.startswith("Agent b could not answer: The agent's process was killed")


async def test_receivers_turn_ends_with_the_senders(tmp_path: Path, autojump_clock: Any) -> None:
    """When the sender's time is up, or its guest ends, nothing of what it asked goes on."""
    autojump_clock.autojump_threshold = 0.1  # a database's thread is working meanwhile, and no time may pass for it

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        if request.agent == "main":
            await guest.say(wire.BrokerCall(1, "send_message", to("b")))
            await trio.sleep(5)
            if request.text == "leave":
                await guest.say(wire.TurnDone("left"))
        await trio.sleep_forever()

    home = tmp_path / "home"
    config = config_of(home)
    config = replace(config, agents={**config.agents, "main": replace(config.agents["main"], turn_timeout=60.0)})
    async with open_line(home, script, config=config) as (gateway, pool):
        assert (await Chat(gateway).say("leave")).text == "left"
        assert pool.living == 0
        assert (await Chat(gateway).say("stay")).error == "timeout"
        assert (pool.living, pool.most_living) == (0, 2)


async def test_two_agents_that_wait_for_each_other_leave_places_free(tmp_path: Path) -> None:
    """Of an agent's places at most half wait for others; a further message is refused, not queued."""
    home = tmp_path / "home"
    config = config_of(home)
    small = replace(config.agents["main"], profile=replace(config.agents["main"].profile, limits=Limits(processes=16)))
    config = replace(config, agents={**config.agents, "main": small})
    told: list[wire.BrokerAnswer] = []
    free = trio.Event()

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        if request.agent == "main":
            told.append(await guest.ask(1, "send_message", **to("b")))
        else:
            await free.wait()
        await guest.say(wire.TurnDone("ok"))

    async with open_line(home, script, config=config) as (gateway, _), trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(Chat(gateway).say, "go", f"chat{number}")
            await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            while not told:
                await trio.sleep(0.01)
        assert told[0].data["kind"] == "busy"
        free.set()
    assert [answer.ok for answer in told] == [False, True, True]


async def test_draining_gateway_takes_no_message(tmp_path: Path) -> None:
    """A turn that runs on while the gateway drains hears why its message was not taken."""
    began, drains = trio.Event(), trio.Event()

    async def script(guest: Guest) -> None:
        await guest.hear()
        began.set()
        await drains.wait()
        answer = await guest.ask(1, "send_message", **to("b"))
        await guest.say(wire.TurnDone(answer.data["message"]))

    async with open_line(tmp_path / "home", script, config=config_of(tmp_path / "home")) as (gateway, _):
        chat = Chat(gateway)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat.say, "go")
            await began.wait()
            nursery.start_soon(gateway.drain)
            await trio.testing.wait_all_tasks_blocked(0.01)
            drains.set()
        assert "about to stop" in chat.delivered[0].text


async def test_chains_of_messages_never_wait_for_each_other(tmp_path: Path) -> None:
    """Two chains that each hold the session that the other one needs next both end, at once."""
    plan = {
        "agent:main:console:dm:c": "b",
        "agent:b:agent:dm:main": "c",
        "agent:c:agent:dm:b": "d",
        "agent:c:console:dm:c": "d",
        "agent:d:agent:dm:c": "main",
        "agent:main:agent:dm:d": "b",
    }
    last, there, both = {"agent:c:agent:dm:b", "agent:main:agent:dm:d"}, [], trio.Event()
    answers: list[wire.BrokerAnswer] = []

    async def script(guest: Guest) -> None:
        key = (await guest.hear()).session_key
        if key in last:
            there.append(key)
            if len(there) == len(last):
                both.set()
            await both.wait()
        answers.append(await guest.ask(1, "send_message", **to(plan[key])))
        await guest.say(wire.TurnDone("done"))

    async with open_line(tmp_path / "home", script, config=config_of(tmp_path / "home")) as (gateway, _):
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for agent in ("main", "c"):
                    nursery.start_soon(partial(Chat(gateway).say, "go", agent=agent))
    assert [answer.ok for answer in answers] == [False, False, True, True, True, True]
    assert "does not wait" in answers[0].data["message"]
