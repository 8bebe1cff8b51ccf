"""Who is let in to talk to whom, what a stranger is told, and that nothing of a stranger is kept."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hermes_iso import admission
from hermes_iso.admission import MOST_CODES, Paired, open_admission
from hermes_iso.config.schema import AccessRules
from hermes_iso.entrance import Entrance
from hermes_iso.errors import RouteRejectedError
from hermes_iso.messages import Attachment, ChatRef, Inbound
from hermes_iso.pairing_files import read_hermes_pairing
from hermes_iso.store import open_database
from tests.support.telegram import ListIntake

NOBODY = AccessRules(pairs=True)


def message(user="7", *, chat_type="dm", chat="7", text="hello", **more):
    """Return a message on Telegram."""
    return Inbound(ChatRef("telegram", chat, chat_type, account_id="default"), text, "1:1", user_id=user, **more)


class Replies:
    """The chats, as far as the entrance's own sentences go."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @asynccontextmanager
    async def answering(self, chat, *, reply_to, notes):
        async def finish(outbound, files):
            self.said.append(outbound.text)
            return "1"

        yield SimpleNamespace(finish=finish)


class Routing:
    """A gateway whose every message is agent coder's, unless nobody takes it."""

    def __init__(self, rules, own=None, agent="coder") -> None:
        access = {("telegram", "default"): rules}
        self.config = SimpleNamespace(
            access=access, agent_access={("telegram", "coder"): own} if own else {}, agents={"coder": None}
        )
        self.agent = agent

    async def select_agent(self, inbound, among):
        if self.agent is None:
            raise RouteRejectedError("nobody takes it")
        return self.agent


@asynccontextmanager
async def entrance(tmp_path, rules=NOBODY, **routing):
    """Open an entrance before an inbox that is a list."""
    intake, replies = ListIntake(), Replies()
    async with open_database(tmp_path / "gateway.db", [admission.SCRIPT]) as database, trio.open_nursery() as nursery:
        people = await open_admission(database)
        yield Entrance(intake, Routing(rules, **routing), people, nursery, replies), intake, replies, people


@pytest.mark.parametrize(
    ("rules", "who", "taken"),
    [
        (NOBODY, {}, False),
        (AccessRules(users=frozenset({"7"})), {}, True),
        (AccessRules(users=frozenset({"8"})), {}, False),
        (AccessRules(users=frozenset({"*"})), {}, True),
        (AccessRules(users=frozenset({"7"})), {"chat_type": "group", "chat": "-1"}, True),
        (AccessRules(group_users=frozenset({"7"})), {}, False),
        (AccessRules(group_users=frozenset({"7"})), {"chat_type": "group", "chat": "-1"}, True),
        (AccessRules(group_chats=frozenset({"-1"})), {"chat_type": "group", "chat": "-1"}, True),
        (AccessRules(group_chats=frozenset({"-1"})), {"chat_type": "channel", "chat": "-1", "user": "-1"}, True),
        (AccessRules(group_chats=frozenset({"7"})), {}, False),
        (AccessRules(group_chats=frozenset({"-2"})), {"chat_type": "group", "chat": "-1"}, False),
        (AccessRules(group_users=frozenset({"-1"})), {"chat_type": "group", "chat": "-1"}, True),
        (AccessRules(users=frozenset({"7"})), {"user": None}, False),
    ],
)
async def test_the_lists_say_who_is_let_in(tmp_path, rules, who, taken):
    """By user everywhere or in groups alone, or by the group; what is taken names its agent."""
    async with entrance(tmp_path, rules) as (door, intake, _, _):
        await door.accept(message(**who))
        assert [each.agent for each in intake.taken] == (["coder"] if taken else [])
        assert door.turned_away == (not taken)


async def test_an_agents_own_lists_count_before_those_of_the_account(tmp_path):
    """Whoever may talk to the other agents of a bot may not talk to this one."""
    own = AccessRules(users=frozenset({"8"}))
    async with entrance(tmp_path, AccessRules(users=frozenset({"7"})), own=own) as (door, intake, _, _):
        await door.accept(message("7"))
        await door.accept(message("8"))
        assert [each.user_id for each in intake.taken] == ["8"]


async def test_a_stranger_is_told_a_code_once_and_let_in_with_it(tmp_path):
    """The code holds for this agent alone; what the stranger wrote before is not kept."""
    async with entrance(tmp_path) as (door, intake, replies, people):
        for _ in range(3):
            await door.accept(message())
            await wait_all_tasks_blocked()
        [said] = replies.said
        code = said.partition("pairing code is ")[2][:8]
        assert f"/pairing approve telegram {code}" in said
        assert await people.approve("main", "telegram", code) is None
        assert await people.approve("coder", "telegram", "AAAAAAAA") is None
        found = await people.approve("coder", "telegram", code.lower())
        assert found is not None
        assert (found.agent, found.user_id) == ("coder", "7")
        assert await people.approve("coder", "telegram", code) is None
        assert intake.taken == []
        await door.accept(message(text="now"))
        assert [each.text for each in intake.taken] == ["now"]
        assert await people.revoke("coder", "telegram", "7")
        await door.accept(message(text="later"))
        assert [each.text for each in intake.taken] == ["now"]


@pytest.mark.parametrize(
    ("rules", "who", "agent"),
    [
        (AccessRules(pairs=False), {}, "coder"),
        (NOBODY, {"chat_type": "group", "chat": "-1"}, "coder"),
        (NOBODY, {}, None),
    ],
)
async def test_a_stranger_is_told_nothing_elsewhere(tmp_path, rules, who, agent):
    """Not where the config says so, not in a group, and not where no agent takes the message."""
    async with entrance(tmp_path, rules, agent=agent) as (door, intake, replies, _):
        await door.accept(message(**who))
        await wait_all_tasks_blocked()
        assert (intake.taken, replies.said) == ([], [])


async def test_strangers_can_not_have_more_codes_than_there_are(tmp_path):
    """A crowd fills nothing, and those who have a code keep it."""
    async with entrance(tmp_path) as (_, _, _, people):
        codes = [await people.offer("coder", "telegram", str(user)) for user in range(MOST_CODES + 5)]
        assert [code is None for code in codes] == [False] * MOST_CODES + [True] * 5
        assert len(await people.waiting("coder")) == MOST_CODES
        assert await people.offer("main", "telegram", "1") is not None


async def test_who_was_let_in_is_known_after_a_restart(tmp_path):
    """It is on disk, and another gateway's list is taken over once alone."""
    async with open_database(tmp_path / "gateway.db", [admission.SCRIPT]) as database:
        people = await open_admission(database)
        assert await people.import_once("coder", [Paired("coder", "telegram", "7", "Ann", 5.0)])
        assert await people.revoke("coder", "telegram", "7")
        assert not await people.import_once("coder", [Paired("coder", "telegram", "7")])
        await people.admit([Paired("coder", "telegram", "8", at=6.0)])
    async with open_database(tmp_path / "gateway.db", [admission.SCRIPT]) as database:
        assert (await open_admission(database)).of("coder") == [Paired("coder", "telegram", "8", at=6.0)]


@pytest.mark.parametrize(
    ("text", "attachments", "taken", "said"),
    [
        ("", ("voice",), None, "I can't take in a voice message here"),
        ("", ("location",), None, "I can't take in a location here"),
        ("", ("animation",), "", ""),
        ("look", ("sticker",), "look\n\n[With this came a sticker, which can't be read here.]", ""),
        ("", ("photo",), "", ""),
    ],
)
async def test_what_nobody_can_read_is_answered_politely(tmp_path, text, attachments, taken, said):
    """In a sentence where it is all there is, else in the message itself."""
    files = tuple(Attachment(kind, "" if kind == "location" else "id") for kind in attachments)
    async with entrance(tmp_path, AccessRules(users=frozenset({"*"}))) as (door, intake, replies, _):
        await door.accept(message(text=text, attachments=files))
        await wait_all_tasks_blocked()
        assert [each.text for each in intake.taken] == ([] if taken is None else [taken])
        assert said in "".join(replies.said)
        assert len(replies.said) == bool(said)


def test_hermes_own_lists_of_people_are_read(tmp_path):
    """Of the root home and of a profile, whatever else lies there."""
    good = {"42": {"user_name": "Ann", "approved_at": 5.5}, " ": {}, "43": 7}
    for place, content in (
        ("platforms/pairing/telegram-approved.json", json.dumps(good)),
        ("pairing/discord-approved.json", json.dumps({"9": {}})),
        ("pairing/telegram-pending.json", json.dumps({"66": {}})),
        ("pairing/slack-approved.json", "[[["),
        ("pairing/matrix-approved.json", "[]"),
        ("profiles/a/pairing/telegram-approved.json", json.dumps({"5": {}})),
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(content)
    assert read_hermes_pairing(tmp_path, "main", root=True) == [
        Paired("main", "discord", "9"),
        Paired("main", "telegram", "42", "Ann", 5.5),
    ]
    assert read_hermes_pairing(tmp_path / "profiles/a", "a", root=False) == [Paired("a", "telegram", "5")]
