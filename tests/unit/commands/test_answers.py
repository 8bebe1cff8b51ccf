"""Questions of running turns, put to people in their chats and answered there, through the line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from hermes_iso.asks import PER_AGENT, PER_CHAT
from hermes_iso.broker.asking import PER_TURN
from hermes_iso.config.schema import CommandRules
from hermes_iso.gateway import Gateway
from hermes_iso.messages import Outbound
from hermes_iso_sandbox import wire
from tests.support.line import Chat, Guest, make_agent, make_config, open_line

COLOUR = {"kind": "clarify", "question": "Which colour?", "choices": ["red", "Blue"]}
REMOVE = {"kind": "approval", "command": "rm -r build", "description": "deletes files", "patterns": ["recursive delete"]}


class Asker:
    """A guest that makes the given ask calls, one after the other or all at once, and ends with what came of them."""

    def __init__(self, *calls: dict[str, Any], together: bool = False) -> None:
        self.calls = calls
        self.together = together
        self.answers: list[dict[str, Any]] = []

    async def __call__(self, guest: Guest) -> None:
        request = await guest.hear()
        if request.text == "no question":
            await guest.say(wire.TurnDone("re no question"))
            return
        if self.together:
            for number, call in enumerate(self.calls, 1):
                await guest.say(wire.BrokerCall(number, "ask", call))
        for number, call in enumerate(self.calls, 1):
            answer = await guest.hear() if self.together else await guest.ask(number, "ask", **call)
            if isinstance(answer, wire.Interrupt):
                await guest.say(wire.TurnDone("as far as I got", interrupted=True))
                return
            self.answers.append(answer.data)
        await guest.say(wire.TurnDone(f"got {self.answers[-1]}"))


@asynccontextmanager
async def asking(
    tmp_path: Path, *calls: dict[str, Any], together: bool = False, agent: Any = None, **changes: Any
) -> AsyncIterator[tuple[Gateway, Asker]]:
    """Open a line whose guests ask."""
    home = tmp_path / "home"
    agents = {name: make_agent(home, name, **(agent or {})) for name in ("main", "coder")}
    asker = Asker(*calls, together=together)
    async with open_line(home, asker, config=make_config(home, agents=agents, **changes)) as (gateway, _):
        yield gateway, asker


class Person:
    """Somebody in a chat of a platform."""

    def __init__(self, gateway: Gateway, user: str = "7", **more: Any) -> None:
        self.chat = Chat(gateway)
        self.more = {"platform": "telegram", "user_id": user, **more}

    async def say(self, text: str, **more: Any) -> Outbound:
        return await self.chat.say(text, **{**self.more, **more})

    @property
    def questions(self) -> list[str]:
        """What was asked of them."""
        return [progress.text for progress in self.chat.shown if progress.kind == "question"]


async def wait_for_questions(person: Person, count: int) -> None:
    """Wait until so many questions were shown."""
    with trio.fail_after(10):
        while len(person.questions) < count:
            await trio.testing.wait_all_tasks_blocked(0.005)


@pytest.mark.parametrize(("said", "meant"), [("2", "Blue"), (" blue ", "Blue"), ("green", "green"), ("5", "5")])
async def test_question_is_shown_at_once_and_the_next_message_answers_it(tmp_path: Path, said: str, meant: str) -> None:
    """A number or the words of a choice mean that choice, anything else itself; no turn is made of the answer."""
    async with asking(tmp_path, COLOUR) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "paint it")
        await wait_for_questions(person, 1)
        assert person.questions == ["Which colour?\n1. red\n2. Blue\nAnswer with a number, or in your own words."]
        assert (await Person(gateway).say(said)).text == "The agent has your answer."
    assert asker.answers == [{"given": True, "answer": meant}]
    assert person.chat.delivered[0].error is None


@pytest.mark.parametrize(
    ("said", "answer", "reply"),
    [
        ("/approve", {"given": True, "decision": "once", "reason": ""}, "Approved, this once."),
        ("yes", {"given": True, "decision": "once", "reason": ""}, "Approved, this once."),
        ("/deny too risky", {"given": True, "decision": "deny", "reason": "too risky"}, "Denied."),
        ("No", {"given": True, "decision": "deny", "reason": ""}, "Denied."),
        (
            "/approve always",
            {"given": True, "decision": "always", "reason": ""},
            "Approved, and so is all of the kind “recursive delete” by agent main.",
        ),
        (
            "/approve session",
            {"given": True, "decision": "session", "reason": ""},
            "Approved, and so is all of the kind “recursive delete” in this session.",
        ),
    ],
)
async def test_approval_is_decided_by_a_command_or_a_word(tmp_path: Path, said: str, answer: Any, reply: str) -> None:
    """The command stands in the chat whole; the decision reaches the turn that asked."""
    async with asking(tmp_path, REMOVE) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "clean up")
        await wait_for_questions(person, 1)
        assert "Agent main asks for approval (deletes files):\n\n    rm -r build\n\n/approve" in person.questions[0]
        assert (await Person(gateway).say(said)).text == reply
    assert asker.answers == [answer]


async def test_other_message_does_not_approve(tmp_path: Path) -> None:
    """What is no decision waits for the turn as every message does, and the approval goes on waiting."""
    async with asking(tmp_path, REMOVE) as (gateway, asker), trio.open_nursery() as nursery:
        person, other = Person(gateway), Person(gateway)
        nursery.start_soon(person.say, "clean up")
        await wait_for_questions(person, 1)
        nursery.start_soon(other.say, "no question")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert asker.answers == []
        assert "Usage" in (await Person(gateway).say("/approve everything")).text
        await Person(gateway).say("/approve")
    assert other.chat.delivered[0].text == "re no question"


GROUP = {"chat": "g", "chat_type": "group"}


@pytest.mark.parametrize("per_user", [True, False])
@pytest.mark.parametrize("question", [COLOUR, REMOVE], ids=["clarify", "approval"])
async def test_other_member_of_a_group_can_not_answer(tmp_path: Path, question: Any, per_user: bool) -> None:
    """Whether or not they share the session: their words are messages of their own, and their commands are refused."""
    async with asking(tmp_path, question, group_sessions_per_user=per_user) as (gateway, asker):
        async with trio.open_nursery() as nursery:
            person, other = Person(gateway, "7"), Person(gateway, "8")
            nursery.start_soon(lambda: person.say("x", **GROUP))
            await wait_for_questions(person, 1)
            for text in ("/approve", "/approve always", "/deny"):
                assert "to answer" in (await Person(gateway, "8").say(text, **GROUP)).text
            nursery.start_soon(lambda: other.say("no question", **GROUP))
            assert "Nothing waits" in (await Person(gateway, "8").say("/approve", chat="elsewhere", chat_type="group")).text
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert asker.answers == []
            await Person(gateway, "7").say("2" if question is COLOUR else "/approve", **GROUP)
        assert other.chat.delivered[0].text == "re no question"
    assert asker.answers[0]["given"] is True


async def test_nameless_member_of_a_group_is_nobody(tmp_path: Path) -> None:
    """Two messages without a sender's id in a group may be two people's; in a direct chat they are one's."""
    async with asking(tmp_path, REMOVE) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(lambda: person.say("x", user_id=None, **GROUP))
        await wait_for_questions(person, 1)
        assert "to answer" in (await Person(gateway).say("/approve", user_id=None, **GROUP)).text
        assert asker.answers == []
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("said", ["/approve", "/deny"])
async def test_admin_of_the_agent_decides_for_others(tmp_path: Path, said: str) -> None:
    """Also where members of a group have sessions of their own."""
    agent = {"admins": frozenset({"telegram:9"})}
    async with asking(tmp_path, REMOVE, agent=agent) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway, "7")
        nursery.start_soon(lambda: person.say("x", **GROUP))
        await wait_for_questions(person, 1)
        await Person(gateway, "9").say(said, **GROUP)
    assert asker.answers[0]["decision"] == ("once" if said == "/approve" else "deny")


async def test_admin_answers_a_question_of_the_session_that_they_share(tmp_path: Path) -> None:
    """Where they have another session in the chat, a message of theirs is for that."""
    agent = {"admins": frozenset({"telegram:9"})}
    shared = asking(tmp_path, COLOUR, agent=agent, group_sessions_per_user=False)
    async with shared as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway, "7")
        nursery.start_soon(lambda: person.say("x", **GROUP))
        await wait_for_questions(person, 1)
        await Person(gateway, "9").say("1", **GROUP)
    assert asker.answers == [{"given": True, "answer": "red"}]


async def test_word_of_approval_needs_the_right_to_the_command(tmp_path: Path) -> None:
    """Where a platform's rules do not give the asker /approve, a plain yes approves nothing either."""
    rules = {("telegram", "dm"): CommandRules(frozenset({"1"}), frozenset({"deny"}))}
    async with asking(tmp_path, REMOVE, command_rules=rules) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        assert "may not use /approve" in (await Person(gateway).say("/approve")).text
        nursery.start_soon(Person(gateway).say, "yes")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert asker.answers == []
        await Person(gateway).say("no")
        with trio.fail_after(10):
            while not asker.answers:
                await trio.testing.wait_all_tasks_blocked(0.005)
        nursery.cancel_scope.cancel()
    assert asker.answers[0]["decision"] == "deny"


async def test_approval_for_good_is_kept_for_its_agent_alone(tmp_path: Path) -> None:
    """It counts in every session of the agent and after a restart, for all of its kinds or none, until it is forgotten."""
    more = {**REMOVE, "command": "rm -r /srv", "patterns": ["recursive delete", "outside of the workspace"]}
    async with asking(tmp_path, REMOVE) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        await Person(gateway).say("/approve always")
    async with asking(tmp_path, REMOVE, more) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway, "8", chat="other")
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        assert asker.answers == [{"given": True, "decision": "once", "reason": ""}]
        assert "rm -r /srv" in person.questions[0]
        await Person(gateway, "8", chat="other").say("/deny")
        coder = Person(gateway, agent="coder")
        nursery.start_soon(coder.say, "x")
        await wait_for_questions(coder, 1)
        assert "rm -r build" in coder.questions[0]
        assert (await Person(gateway).say("/approve list")).text == "Approved before:\n- recursive delete"
        assert "again" in (await Person(gateway).say("/approve forget recursive delete")).text
        assert "Nothing" in (await Person(gateway).say("/approve list")).text
        nursery.cancel_scope.cancel()


async def test_approval_for_a_session_ends_with_it(tmp_path: Path) -> None:
    """The next turn of the session is not asked; after /new it is, and so is another chat."""
    async with asking(tmp_path, REMOVE) as (gateway, _asker), trio.open_nursery() as nursery:
        person, other = Person(gateway), Person(gateway, chat="other")
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        await Person(gateway).say("/approve session")
        await person.say("x")
        assert len(person.questions) == 1
        assert "in this session" in (await Person(gateway).say("/approve list")).text
        for again in (other, person):
            if again is person:
                await person.say("/new")
            nursery.start_soon(again.say, "x")
            await wait_for_questions(again, 1 + (again is person))
        nursery.cancel_scope.cancel()


async def test_approval_that_may_not_be_for_good_is_for_the_session(tmp_path: Path) -> None:
    """An engine can say that a finding must not be waved through for ever."""
    async with asking(tmp_path, {**REMOVE, "permanent": False}) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        assert "always" not in person.questions[0]
        assert "in this session" in (await Person(gateway).say("/approve always")).text
    assert asker.answers[0]["decision"] == "session"


async def test_questions_at_once_are_shown_one_after_the_other(tmp_path: Path) -> None:
    """What is answered is what stands in the chat; the next one is shown after that."""
    async with asking(tmp_path, COLOUR, REMOVE, together=True) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(person.questions) == 1
        assert "answer it with a message" in (await Person(gateway).say("/approve")).text
        await Person(gateway).say("1")
        await wait_for_questions(person, 2)
        await Person(gateway).say("/approve")
    assert [answer["given"] for answer in asker.answers] == [True, True]


async def test_waiting_counts_for_no_timeout_but_its_own(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A turn of ten seconds waits for fifteen minutes and is told that nobody answered; it does not ask into the void again."""
    autojump_clock.autojump_threshold = 0.1  # databases work in threads meanwhile, and no time may pass for them
    agent = {"turn_timeout": 10.0, "ask_timeout": 900.0}
    async with asking(tmp_path, COLOUR, REMOVE, agent=agent) as (gateway, asker):
        began = trio.current_time()
        person = Person(gateway)
        outbound = await person.say("x")
        assert trio.current_time() - began < 901
    assert (outbound.error, len(person.questions)) == (None, 1)
    assert asker.answers == [{"given": False, "reason": "Nobody answered within 900 s."}] * 2


async def test_time_goes_on_after_the_answer(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """What was left of the turn's time when it asked is what it has afterwards."""
    autojump_clock.autojump_threshold = 0.1  # databases work in threads meanwhile, and no time may pass for them

    async def slow(guest: Guest) -> None:
        await guest.hear()
        await trio.sleep(6)
        await guest.ask(1, "ask", **COLOUR)
        await trio.sleep(6)

    home = tmp_path / "home"
    agents = {"main": make_agent(home, turn_timeout=10.0, ask_timeout=100.0)}
    async with open_line(home, slow, config=make_config(home, agents=agents)) as (gateway, _):
        began = trio.current_time()
        outbound = await Person(gateway).say("x")
        assert trio.current_time() - began < 111
    assert outbound.error == "timeout"


async def test_drain_answers_that_nothing_is_given(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """A gateway that stops does not wait for people: the turn ends by itself, with what it was told."""
    autojump_clock.autojump_threshold = 0.1  # databases work in threads meanwhile, and no time may pass for them
    async with asking(tmp_path, COLOUR) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        began = trio.current_time()
        await gateway.drain()
        assert trio.current_time() - began < 1
    assert asker.answers[0]["given"] is False
    assert "about to stop" in asker.answers[0]["reason"]
    assert person.chat.delivered[0].error is None


async def test_stop_withdraws_the_question(tmp_path: Path) -> None:
    """The turn ends, and a late answer finds nothing: it is a message again."""
    async with asking(tmp_path, COLOUR, together=True) as (gateway, _asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        assert "stopped" in (await Person(gateway).say("/stop")).text
        with trio.fail_after(10):
            while not person.chat.delivered:
                await trio.testing.wait_all_tasks_blocked(0.005)
        assert (await Person(gateway).say("/approve")).text == "Nothing waits for an answer in this chat."
        assert (await Person(gateway).say("no question")).text == "re no question"
    assert person.chat.delivered[0].interrupted


async def test_interrupt_of_a_waiting_turn_leaves_it_its_grace_only(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A guest that ignores the interrupt can't hide behind a question."""
    autojump_clock.autojump_threshold = 0.1  # databases work in threads meanwhile, and no time may pass for them

    async def stubborn(guest: Guest) -> None:
        await guest.hear()
        await guest.say(wire.BrokerCall(1, "ask", COLOUR))
        await trio.sleep_forever()

    async with open_line(tmp_path / "home", stubborn) as (gateway, _), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        await Person(gateway).say("/stop")
        began = trio.current_time()
        while not person.chat.delivered:
            await trio.sleep(0.1)
        assert trio.current_time() - began <= 6
    assert person.chat.delivered[0].error == "interrupted"


async def test_deny_leaves_a_question_without_an_answer(tmp_path: Path) -> None:
    """The agent is told that nobody wants to say."""
    async with asking(tmp_path, COLOUR) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        await Person(gateway).say("/deny")
    assert asker.answers == [{"given": False, "reason": "The person who was asked does not want to answer."}]


@pytest.mark.parametrize(
    "how",
    [
        {"answerable": False},
        {"platform": "agent", "via": ("coder",), "answerable": False},
    ],
)
async def test_where_nobody_can_be_asked_the_turn_is_told_at_once(tmp_path: Path, how: Any) -> None:
    """Nothing is shown and nothing waits."""
    async with asking(tmp_path, COLOUR) as (gateway, asker):
        person = Person(gateway)
        await person.say("x", **how)
    assert person.questions == []
    assert asker.answers[0]["given"] is False
    assert "Nobody can be asked here" in asker.answers[0]["reason"]


LONG = "x" * 70_000


@pytest.mark.parametrize(
    ("call", "kind", "says"),
    [
        ({"kind": "shout"}, "bad_params", "clarify or approval"),
        ({"kind": "clarify"}, "bad_params", "question as text"),
        ({"kind": "clarify", "question": " "}, "bad_params", "needs a text"),
        ({"kind": "clarify", "question": LONG[:5000]}, "bad_params", "more than 4000"),
        ({"kind": "clarify", "question": "q", "choices": ["a"] * 5}, "bad_params", "4 choices"),
        ({"kind": "clarify", "question": "q", "choices": [LONG[:301]]}, "bad_params", "1 to 300"),
        ({"kind": "clarify", "question": "q", "choices": [{"label": "a"}]}, "bad_params", "list of texts"),
        ({"kind": "clarify", "question": ["q"]}, "bad_params", "question as text"),
        ({"kind": "approval"}, "bad_params", "command as text"),
        ({"kind": "approval", "command": "\n"}, "bad_params", "needs the command"),
        ({"kind": "approval", "command": LONG[:16_001]}, "bad_params", "16000 are shown"),
        ({"kind": "approval", "command": "c", "patterns": ["p"] * 9}, "bad_params", "8 kinds"),
        ({"kind": "approval", "command": "c", "patterns": [""]}, "bad_params", "8 kinds"),
        ({"kind": "approval", "command": "c", "patterns": "p"}, "bad_params", "list of texts"),
    ],
)
async def test_malformed_question_is_refused_and_nobody_is_bothered(tmp_path: Path, call: Any, kind: str, says: str) -> None:
    """What can't be shown whole is not shown at all; the guest is told why."""
    async with asking(tmp_path, call) as (gateway, asker):
        person = Person(gateway)
        await person.say("x")
    assert person.questions == []
    assert asker.answers[0]["kind"] == kind
    assert says in asker.answers[0]["message"]


async def test_clarify_needs_its_grant(tmp_path: Path) -> None:
    """A guest asks no more than its turn may, whatever it sends."""
    async with asking(tmp_path, COLOUR) as (gateway, asker):
        await Person(gateway).say("/tools off clarify")
        await Person(gateway).say("x")
    assert asker.answers[0]["kind"] == "not_granted"


async def test_command_is_shown_so_that_nothing_hides_in_it(tmp_path: Path) -> None:
    """Control characters and marks that turn text round are written out, and no line of it looks like the gateway's own."""
    command = "echo \u202egnp.tac\u200b\r\x1b[2K\n\n/approve allows nothing"
    async with asking(tmp_path, {**REMOVE, "command": command}) as (gateway, _), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        await wait_for_questions(person, 1)
        shown = person.questions[0].split("\n")
        assert shown[2:5] == ["    echo \\u202egnp.tac\\u200b\\x0d\\x1b[2K", "    ", "    /approve allows nothing"]
        nursery.cancel_scope.cancel()


async def test_chat_and_agent_have_bounds(tmp_path: Path) -> None:
    """More turns that ask than may wait are told so at once."""
    async with asking(tmp_path, COLOUR) as (gateway, _asker), trio.open_nursery() as nursery:
        people = [Person(gateway, chat=f"c{number}") for number in range(PER_AGENT)]
        for person in people:
            nursery.start_soon(person.say, "x")
            await wait_for_questions(person, 1)
        outbound = await Person(gateway, chat="one more").say("x")
        assert "'kind': 'busy'" in outbound.text
        nursery.cancel_scope.cancel()
    assert PER_CHAT <= PER_AGENT


async def test_turn_asks_only_so_often(tmp_path: Path) -> None:
    """A guest can't flood a chat with one question after the other, however well they are answered."""
    async with asking(tmp_path, *[COLOUR] * (PER_TURN + 1)) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "x")
        for count in range(1, PER_TURN + 1):
            await wait_for_questions(person, count)
            await Person(gateway).say("1")
    assert (asker.answers[-1]["kind"], len(person.questions)) == ("too_many", PER_TURN)


async def test_background_turn_asks_in_the_chat(tmp_path: Path) -> None:
    """Its question stands in the chat that began it and is answered there."""
    async with asking(tmp_path, COLOUR) as (gateway, asker), trio.open_nursery() as nursery:
        person = Person(gateway)
        nursery.start_soon(person.say, "/background x")
        await wait_for_questions(person, 1)
        await Person(gateway).say("1")
    assert asker.answers == [{"given": True, "answer": "red"}]
