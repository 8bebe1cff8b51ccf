"""The broker method session_search: whose sessions it reads is the turn's, whatever the guest says; bounds hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from hermes_iso.broker.searches import MOST_SEARCHES
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso_sandbox import wire
from tests.support.line import Chat, Guest, make_agent, make_config, open_line


class Asker:
    """A guest that sends what its message holds as parameters of a search, and keeps the answers."""

    def __init__(self) -> None:
        self.answers: list[wire.BrokerAnswer] = []

    async def __call__(self, guest: Guest) -> None:
        request = await guest.hear()
        text = "noted"
        if request.text.startswith("{"):
            self.answers.append(await guest.ask(1, "session_search", **json.loads(request.text)))
            text = "searched"
        await guest.say(wire.TurnDone(text, [{"role": "assistant", "content": text}]))


async def search(person: Chat, asker: Asker, params: dict[str, Any], **more: Any) -> wire.BrokerAnswer:
    """Search in the turn of a person."""
    assert (await person.say(json.dumps(params), **more)).error is None
    return asker.answers[-1]


async def test_search_discovers_scrolls_reads_and_browses(tmp_path: Path) -> None:
    """Hermes' four shapes, told from the arguments alone."""
    asker = Asker()
    async with open_line(tmp_path / "home", asker) as (gateway, _):
        person = Chat(gateway)
        first = await person.say("the pineapple costs four")
        await person.say("/title Fruit")
        await person.say("/new")
        found = (await search(person, asker, {"query": "pineapple", "limit": 2})).data
        assert (found["mode"], found["count"]) == ("discover", 1)
        result = found["results"][0]
        assert (result["session_id"], result["title"], result["match_message_id"]) == (first.session_id, "Fruit", 1)
        assert ">>>pineapple<<<" in result["snippet"]
        assert [message["content"] for message in result["messages"]] == ["the pineapple costs four", "noted"]
        around = (await search(person, asker, {"session_id": first.session_id, "around_message_id": 2, "window": 1})).data
        assert (around["mode"], [message["id"] for message in around["messages"]]) == ("scroll", [1, 2])
        whole = (await search(person, asker, {"session_id": first.session_id})).data
        assert (whole["mode"], whole["messages_left_out"]) == ("read", 0)
        recent = (await search(person, asker, {})).data
        assert recent["mode"] == "browse"
        assert [each.get("current", False) for each in recent["results"]] == [True, False]
        assert recent["results"][1]["preview"] == "the pineapple costs four"
        assert (await search(person, asker, {"query": "costs", "role_filter": "assistant"})).data["count"] == 0


OTHERS: list[dict[str, Any]] = [
    {"chat": "other"},
    {"agent": "coder"},
    {"platform": "telegram"},
    {"user_id": "8", "chat": "other"},
    {"namespace": "dev"},
    {"chat_type": "group", "user_id": "7"},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
async def test_search_reaches_nobody_elses_sessions(tmp_path: Path, other: dict[str, Any]) -> None:
    """Another chat, agent, platform, person or key finds nothing, and an id that exists reads like one that does not."""
    asker = Asker()
    async with open_line(tmp_path / "home", asker) as (gateway, _):
        mine = {"user_id": "7"}
        said = await Chat(gateway).say("the pineapple", **mine)
        stranger = Chat(gateway)
        for params in ({"query": "pineapple"}, {}):
            answer = await search(stranger, asker, params, **other)
            assert said.session_id not in json.dumps(answer.data)
            assert "the pineapple" not in json.dumps(answer.data)
        ids = (said.session_id, "20200101_000000_00000000")
        found, missing = [await search(stranger, asker, {"session_id": each}, **other) for each in ids]
        assert (found.ok, found.data["kind"]) == (False, "not_found")
        assert found.data["message"].replace(*ids) == missing.data["message"]
        forged = {"query": "pineapple", "agent": "main", "chat_id": "c", "user_id": "7", "profile": "main", "namespace": ""}
        results = (await search(stranger, asker, forged, **other)).data["results"]
        assert said.session_id not in [result["session_id"] for result in results]
        assert (await search(Chat(gateway), asker, {"query": "pineapple"}, **mine)).data["count"] == 1


async def test_people_behind_one_key_are_told_apart(tmp_path: Path) -> None:
    """Sessions of one chat over HTTP find each other only for the person who had them."""
    asker = Asker()
    async with open_line(tmp_path / "home", asker) as (gateway, _):
        api: dict[str, Any] = {"platform": "api_server", "namespace": "default", "chat": "support"}
        await Chat(gateway).say("the pineapple", session_id="s1", user_id="ann", **api)
        for user, session, count in (("ann", "s2", 1), ("bob", "s3", 0), (None, "s4", 0)):
            answer = await search(Chat(gateway), asker, {"query": "pineapple"}, session_id=session, user_id=user, **api)
            assert answer.data["count"] == count, user


@pytest.mark.parametrize(
    "params",
    [
        {"query": 5},
        {"query": ["a"]},
        {"limit": "3"},
        {"limit": True},
        {"limit": -1},
        {"query": "a", "sort": "best"},
        {"query": "a", "role_filter": "tool"},
        {"session_id": {}},
        {"session_id": "s", "around_message_id": 1.5},
    ],
)
async def test_bad_parameters_are_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    """A guest of its own making gets one sentence, and the turn goes on."""
    asker = Asker()
    async with open_line(tmp_path / "home", asker) as (gateway, _):
        answer = await search(Chat(gateway), asker, params)
        assert (answer.ok, answer.data["kind"]) == (False, "bad_params")


async def test_search_that_is_not_granted_is_refused(tmp_path: Path) -> None:
    """The broker looks at the grant itself; the guest's registry is the guest's."""
    home = tmp_path / "home"
    agents = {"main": make_agent(home, policy=ToolPolicy((Layer("agent", deny=frozenset({"session_search"})),)))}
    asker = Asker()
    async with open_line(home, asker, config=make_config(home, agents=agents, default_agent="main")) as (gateway, _):
        answer = await search(Chat(gateway), asker, {"query": "x"})
        assert (answer.ok, answer.data["kind"]) == (False, "not_granted")
    async with open_line(home, asker) as (gateway, _):
        person = Chat(gateway)
        await person.say("/tools off session_search")
        assert (await search(person, asker, {"query": "x"})).data["kind"] == "not_granted"


async def test_searches_of_a_turn_are_counted(tmp_path: Path) -> None:
    """A guest that searches without end is told to stop; its next turn may search again."""
    kinds: list[str] = []

    async def tireless(guest: Guest) -> None:
        await guest.hear()
        for number in range(MOST_SEARCHES + 2):
            answer = await guest.ask(number, "session_search")
            kinds.append("ok" if answer.ok else answer.data["kind"])
        await guest.say(wire.TurnDone("x"))

    async with open_line(tmp_path / "home", tireless) as (gateway, _):
        for _ in range(2):
            assert (await Chat(gateway).say("go")).error is None
    assert kinds == 2 * [*["ok"] * MOST_SEARCHES, "too_many", "too_many"]


async def test_search_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """Its answer is a sentence, and the agent's sessions can be used again."""
    asker = Asker()
    async with open_line(tmp_path / "home", asker) as (gateway, _):
        sessions = gateway._services.records.sessions
        run, slow = sessions.run, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

        async def slowly(agent: str, transaction: Any) -> Any:
            if "search" in getattr(transaction, "func", transaction).__qualname__.lower():
                return await run(agent, lambda connection: connection.execute(slow).fetchall())
            return await run(agent, transaction)

        sessions.run = slowly  # type: ignore[method-assign]
        answer = await search(Chat(gateway), asker, {"query": "x"})
        assert (answer.ok, answer.data["kind"]) == (False, "busy")


async def test_answer_is_bounded(tmp_path: Path) -> None:
    """However much is found, the answer fits in what a tool may return."""

    async def long(guest: Guest) -> None:
        request = await guest.hear()
        if request.text.startswith("{"):
            answer = await guest.ask(1, "session_search", **json.loads(request.text))
            sizes.append(len(json.dumps(answer.data, ensure_ascii=False).encode()))
        many = [{"role": "assistant", "content": "ö" * 5_000}] * 20
        await guest.say(wire.TurnDone("x", many))

    sizes: list[int] = []
    async with open_line(tmp_path / "home", long) as (gateway, _):
        person = Chat(gateway)
        for number in range(12):
            await person.say(f"pineapple {number}")
            await person.say("/new")
        await person.say(json.dumps({"query": "pineapple", "limit": 10_000}))
    assert 1_000 < sizes[0] < 200_100
