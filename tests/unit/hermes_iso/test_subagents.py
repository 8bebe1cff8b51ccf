"""Subagents through the line: each a turn of its own, with no more than its parent's grant, time and budget."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hermes_iso.agents import Agent, ModelSettings, Subagents
from hermes_iso.broker.delegation import Task
from hermes_iso.errors import TurnError
from hermes_iso.journal import Journal
from hermes_iso.messages import ChatRef, Inbound, Usage
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.routing import Route, SessionId
from hermes_iso.sessions import Turn
from hermes_iso.subagents import INSTRUCTIONS, NEVER, subagent_work
from hermes_iso.tools import TOOLS
from hermes_iso.work import Work
from hermes_iso_sandbox import wire
from tests.support.line import Chat, FakeModels, FakePool, Guest, make_agent, make_config, open_line

Part = Callable[[Guest, wire.TurnRequest], Awaitable[Any]]
ASK = [{"role": "user", "content": "x"}]


def playing(**parts: Part) -> Callable[[Guest], Awaitable[None]]:
    """Return a guest that plays the part which the first word of its text names, and answers with what it returns."""

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        said = await parts[request.text.split()[0]](guest, request)
        await guest.say(wire.TurnDone(str(said)))

    return script


def delegating(**params: Any) -> Part:
    """Return the part of a parent that makes one call and answers with what it was told."""

    async def part(guest: Guest, _request: wire.TurnRequest) -> Any:
        answer = await guest.ask(1, "delegate", **params)
        return answer.data if answer.ok else answer.data["kind"]

    return part


async def done(_guest: Guest, request: wire.TurnRequest) -> str:
    """Play a child that says that it is done."""
    return f"{request.text} is done"


def agents(tmp_path: Path, **changes: Any) -> dict[str, Agent]:
    """Return agent main, changed."""
    return {"main": make_agent(tmp_path / "home", **changes)}


@asynccontextmanager
async def line(tmp_path: Path, script: Any, *, models: Any = None, pool: Any = None, **changes: Any) -> Any:
    """Open a gateway with one agent."""
    home = tmp_path / "home"
    config = make_config(home, agents=agents(tmp_path, **changes))
    async with open_line(home, script, models=models, pool=pool, config=config) as (gateway, found):
        yield gateway, found


def entries(tmp_path: Path, kind: str) -> list[tuple[str, Any]]:
    """Return the journal's entries of a kind, after the gateway closed: (turn id, data)."""
    connection = apsw.Connection(str(tmp_path / "home" / "hermes-iso" / "gateway.db"), flags=apsw.SQLITE_OPEN_READONLY)
    rows = connection.execute("SELECT turn_id, data FROM journal WHERE kind = ?", (kind,)).fetchall()
    connection.close()
    return [(str(turn), json.loads(str(data))) for turn, data in rows]


async def test_subagent_is_a_turn_of_its_own_that_knows_only_its_task(tmp_path: Path) -> None:
    """Its own id, session, processes and process; the task as text, no history; the same agent on the same chat."""
    seen: list[wire.TurnRequest] = []

    async def child(guest: Guest, request: wire.TurnRequest) -> str:
        seen.append(request)
        return "found it"

    async def parent(guest: Guest, request: wire.TurnRequest) -> Any:
        seen.append(request)
        return (await guest.ask(1, "delegate", goal="child", context="look in a.txt")).data["results"][0]["summary"]

    async with line(tmp_path, playing(parent=parent, child=child)) as (gateway, pool):
        outbound = await Chat(gateway).say("parent", instructions="Be brief.", history=({"role": "user", "content": "secret"},))
        assert outbound.text == "found it"
        assert (pool.most_living, len(set(pool.sessions))) == (2, 2)
    above, below = seen
    assert (below.text, below.history, below.instructions) == ("child\n\nContext:\nlook in a.txt", [], INSTRUCTIONS)
    assert (below.agent, below.session_key, below.persona) == (above.agent, above.session_key, above.persona)
    assert below.turn_id != above.turn_id
    assert below.session_id != above.session_id
    assert set(below.tools) == set(above.tools) - NEVER - {"delegate_task"}


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (["file", "memory"], {"read_file", "write_file", "patch", "search_files"}),
        (["todo", "execute_code", "terminal"], {"todo"}),
        (["all_of_it"], "bad_params"),
        (["memory"], "no_tools"),
        (["web"], "no_tools"),
    ],
)
async def test_grant_of_a_subagent_only_narrows(tmp_path: Path, asked: list[str], granted: Any) -> None:
    """What it asks for beyond its parent's grant, and what no subagent may have, is not granted; the kernel is told too."""
    seen: list[wire.TurnRequest] = []

    async def child(guest: Guest, request: wire.TurnRequest) -> str:
        seen.append(request)
        await guest.ask(1, "model", messages=ASK)
        return "ok"

    models = FakeModels()
    policy = ToolPolicy((Layer("agent", deny=frozenset({"terminal", "process", "execute_code"})),))
    parts = playing(parent=delegating(goal="child", toolsets=asked), child=child)
    async with line(tmp_path, parts, models=models, policy=policy) as (gateway, _):
        text = (await Chat(gateway).say("parent")).text
    if granted == "no_tools":
        assert "'status': 'failed'" in text
        assert "Nothing that was asked for a subagent is granted" in text
    elif granted == "bad_params":
        assert text == granted
    else:
        assert set(seen[0].tools) == {tool.name for tool in models.calls[0].tools} == granted
        assert bool(seen[0].narrowing.read_only) == ("write_file" not in granted)


async def test_what_a_session_denies_its_subagents_are_denied(tmp_path: Path) -> None:
    """The session's layer stands between the agent's and the subagent's."""
    seen: list[list[str]] = []

    async def child(_guest: Guest, request: wire.TurnRequest) -> str:
        seen.append(request.tools)
        return "ok"

    async def parent(guest: Guest, request: wire.TurnRequest) -> str:
        seen.append(request.tools)
        await guest.ask(1, "delegate", goal="child", toolsets=["file", "terminal"])
        return "ok"

    async with line(tmp_path, playing(parent=parent, child=child)) as (gateway, _):
        await Chat(gateway).say("/tools off terminal write_file")
        await Chat(gateway).say("parent")
    assert set(seen[0]) == set(TOOLS) - {"terminal", "write_file", "send_message"}
    assert set(seen[1]) == {"process", "read_file", "patch", "search_files"}


async def test_subagents_end_before_their_parent_does(tmp_path: Path) -> None:
    """A parent that answers while they work, or is cancelled, leaves none behind; its own process is the last to go."""
    gone: list[str] = []

    class Pool(FakePool):
        @asynccontextmanager
        async def lease(self, confinement: Any, *, session: str) -> Any:
            try:
                async with super().lease(confinement, session=session) as lease:
                    yield lease
            finally:
                gone.append("child" if "subagent" in session else "parent")

    async def child(_guest: Guest, _request: wire.TurnRequest) -> None:
        await trio.sleep_forever()

    async def parent(guest: Guest, request: wire.TurnRequest) -> str:
        await guest.say(wire.BrokerCall(1, "delegate", {"tasks": [{"goal": "child"}, {"goal": "child"}]}))
        await trio.testing.wait_all_tasks_blocked(0.01)
        if request.text == "parent waits":
            await trio.sleep_forever()
        return "ended"

    pool = Pool(playing(parent=parent, child=child))
    async with line(tmp_path, None, pool=pool) as (gateway, _):
        assert (await Chat(gateway).say("parent")).text == "ended"
        assert (gone, pool.living) == (["child", "child", "parent"], 0)
        gone.clear()
        with trio.move_on_after(0.3):
            await Chat(gateway).say("parent waits")
        assert (gone, pool.living, gateway.statistics()["turns"]) == (["child", "child", "parent"], 0, 0)
    assert len(entries(tmp_path, "subagent_cancelled")) == 4


async def test_subagent_is_ended_at_its_parents_deadline(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """It has the time that is left to the turn, not a whole turn's."""

    async def child(_guest: Guest, _request: wire.TurnRequest) -> None:
        await trio.sleep_forever()

    async def parent(guest: Guest, request: wire.TurnRequest) -> Any:
        await trio.sleep(6)
        return (await guest.ask(1, "delegate", goal="child")).data

    async with line(tmp_path, playing(parent=parent, child=child), turn_timeout=10.0) as (gateway, pool):
        began = trio.current_time()
        outbound = await Chat(gateway).say("parent")
        assert (outbound.error, pool.living) == ("timeout", 0)
        assert trio.current_time() - began == pytest.approx(10, abs=0.5)


async def test_depth_is_kept_on_this_side(tmp_path: Path) -> None:
    """At the deepest level the tool is not granted, and a guest that asks all the same is told so."""

    async def child(guest: Guest, request: wire.TurnRequest) -> str:
        answer = await guest.ask(1, "delegate", goal="child")
        summary = answer.data["results"][0]["summary"] if answer.ok else f"{answer.data['kind']}: {answer.data['message']}"
        return f"{'delegate_task' in request.tools} > {summary}"

    for depth, expected in ((1, "False > not_granted:"), (2, "True > False > not_granted:")):
        parts = playing(parent=delegating(goal="child"), child=child)
        async with line(tmp_path, parts, subagents=Subagents(max_depth=depth)) as (gateway, _):
            text = (await Chat(gateway).say("parent")).text
            assert f"'summary': '{expected}" in text or f"'summary': \"{expected}" in text
            assert f"may go {depth} deep" in text


async def test_subagents_of_subagents_count_in_all(tmp_path: Path) -> None:
    """Delegating further buys no more of them."""
    begun: list[str] = []

    async def child(guest: Guest, request: wire.TurnRequest) -> str:
        begun.append(request.turn_id)
        answer = await guest.ask(1, "delegate", goal="child")
        return answer.data.get("kind", "done")

    parts = playing(parent=delegating(tasks=[{"goal": "child"}] * 2), child=child)
    async with line(tmp_path, parts, subagents=Subagents(max_depth=3, max_children=3)) as (gateway, _):
        assert "too_many" in (await Chat(gateway).say("parent")).text
    assert len(begun) == 3


async def test_a_thousand_calls_begin_no_more_than_the_limit(tmp_path: Path) -> None:
    """Bad ones and good ones: each is answered, five subagents are begun, and the turn goes on to its end."""
    begun: list[str] = []
    kinds: dict[str, int] = {}

    async def child(_guest: Guest, request: wire.TurnRequest) -> str:
        begun.append(request.turn_id)
        return "ok"

    async def parent(guest: Guest, _request: wire.TurnRequest) -> str:
        for number in range(1, 1001):
            params: dict[str, Any] = {"goal": "child"} if number % 2 else {"goal": 5}
            answer = await guest.ask(number, "delegate", **params)
            kind = "done" if answer.ok else answer.data["kind"]
            kinds[kind] = kinds.get(kind, 0) + 1
        return "end"

    async with line(tmp_path, playing(parent=parent, child=child)) as (gateway, _):
        assert (await Chat(gateway).say("parent")).text == "end"
    assert (len(begun), kinds) == (5, {"done": 5, "bad_params": 500, "too_many": 495})


async def test_model_calls_of_subagents_are_their_parents(tmp_path: Path) -> None:
    """They add up in the answer's usage, and are refused once the turn has no more than it needs to end."""

    async def child(guest: Guest, _request: wire.TurnRequest) -> str:
        answers = [await guest.ask(number, "model", messages=ASK) for number in range(1, 8)]
        return f"{sum(answer.ok for answer in answers)} {answers[-1].data.get('kind')}"

    async def parent(guest: Guest, _request: wire.TurnRequest) -> str:
        await guest.ask(1, "model", messages=ASK)
        told = (await guest.ask(2, "delegate", goal="child")).data
        rest = [(await guest.ask(number, "model", messages=ASK)).ok for number in range(3, 8)]
        return f"{told['results'][0]['summary']} {told['results'][0]['api_calls']} {told['steps_left']} {sum(rest)}"

    async with line(tmp_path, playing(parent=parent, child=child), max_iterations=4) as (gateway, _):
        outbound = await Chat(gateway).say("parent")
    assert outbound.text == "3 budget 3 0 4"
    assert outbound.usage == Usage(24, 16, 8)


async def test_subagents_model_is_the_configured_one(tmp_path: Path) -> None:
    """Else it is that of whoever delegates."""
    other = ModelSettings("builtin", "offline", "", "offline", headers={"x": "other"})

    async def child(guest: Guest, _request: wire.TurnRequest) -> str:
        await guest.ask(1, "model", messages=ASK)
        return "ok"

    for settings in (None, other):
        models = FakeModels()
        parts = playing(parent=delegating(goal="child"), child=child)
        async with line(tmp_path, parts, models=models, subagents=Subagents(model=settings)) as (gateway, _):
            await Chat(gateway).say("parent")
            assert models.calls[0].settings == (settings or gateway.config.agents["main"].model)


async def test_tools_of_a_subagent_are_shown_and_its_text_is_not(tmp_path: Path) -> None:
    """One after the other with its parent's own, under its number."""

    async def child(guest: Guest, _request: wire.TurnRequest) -> str:
        await guest.say(wire.TextDelta("thinking"))
        await guest.say(wire.ToolCalled("1", "terminal", "ls"))
        await guest.say(wire.ToolReturned("1", "terminal", True, 0.1))
        return "ok"

    async with line(tmp_path, playing(parent=delegating(goal="child"), child=child)) as (gateway, _):
        chat = Chat(gateway)
        await chat.say("parent")
    assert [(each.kind, each.name, each.text) for each in chat.shown] == [("tool_called", "terminal", "subagent 1: ls")]


async def test_journal_names_parent_and_child(tmp_path: Path) -> None:
    """Both turns have an entry with the other's id, and the parent's says how it ended."""
    async with line(tmp_path, playing(parent=delegating(goal="child"), child=done)) as (gateway, _):
        parent = (await Chat(gateway).say("parent")).turn_id
    [(above, begun)], [(below, named)] = entries(tmp_path, "delegated"), entries(tmp_path, "began_as_subagent")
    assert (above, begun["child"], named["parent"]) == (parent, below, parent)
    [(_, ended)] = entries(tmp_path, "subagent_ended")
    assert (ended["child"], ended["error"], ended["model_calls"]) == (below, None, 0)
    assert {turn for turn, _ in entries(tmp_path, "ended")} == {parent, below}


async def test_background_processes_of_a_subagent_end_with_it(tmp_path: Path) -> None:
    """Nobody could look after them any more; those of the parent's session stay."""

    class Running:
        exit_status: int | None = None

        async def kill(self) -> None:
            self.exit_status = 137

    running = Running()

    class Held:
        def list(self) -> list[Running]:
            return [running]

    async def child(_guest: Guest, _request: wire.TurnRequest) -> str:
        return str(running.exit_status)

    parts = playing(parent=delegating(goal="child"), child=child, alone=done)
    async with line(tmp_path, parts, pool=FakePool(parts, Held())) as (gateway, _):
        await Chat(gateway).say("alone")
        assert running.exit_status is None
        assert "'summary': 'None'" in (await Chat(gateway).say("parent")).text
        assert running.exit_status == 137


async def test_subagent_does_not_wait_for_ever_for_a_place(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Where parents hold every place of the sandbox, theirs give up and the parents go on."""

    class Full(FakePool):
        @asynccontextmanager
        async def lease(self, confinement: Any, *, session: str) -> Any:
            if "subagent" in session:
                await trio.sleep_forever()
            async with super().lease(confinement, session=session) as lease:
                yield lease

    parts = playing(parent=delegating(goal="child"))
    async with line(tmp_path, None, pool=Full(parts)) as (gateway, _):
        began = trio.current_time()
        outbound = await Chat(gateway).say("parent")
        assert outbound.error is None
        assert "no place was free" in outbound.text
        assert trio.current_time() - began == pytest.approx(30, abs=1)


async def test_empty_grant_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    """One sentence that says where to look; no process, no model call."""
    models = FakeModels()
    policy = ToolPolicy((Layer("agent", by_platform={"console": frozenset()}),))
    async with line(tmp_path, playing(hello=done), models=models, policy=policy) as (gateway, pool):
        outbound = await Chat(gateway).say("hello")
        assert outbound.error == "no_tools"
        assert outbound.text == (
            "Agent main is granted no tool on console, so it takes no turn there: `hermes-iso policy explain main` says why."
        )
        assert (pool.sessions, models.calls) == ([], [])


NAMES = st.sampled_from([*TOOLS, "memory", "file", "terminal", "coding", "delegation", "safe"])
TOOL_SETS = st.frozensets(st.sampled_from([*TOOLS]))
LAYERS = st.builds(Layer, st.just("agent"), st.none() | TOOL_SETS, TOOL_SETS, st.none() | TOOL_SETS, deny=TOOL_SETS)


@given(
    st.lists(LAYERS, max_size=3),
    TOOL_SETS,
    st.lists(st.none() | st.lists(NAMES, min_size=1), min_size=1, max_size=4),
    st.integers(1, 4),
)
def test_no_subagent_at_any_depth_has_a_tool_that_its_parent_lacks(layers, denied, wishes, depth):
    """Whatever the layers say and whatever is asked for: each level has less or the same, and none what none may have."""
    policy = ToolPolicy(tuple(layers))
    agent = make_agent(Path("/srv/home"), policy=policy, subagents=Subagents(max_depth=depth))
    chat = ChatRef("console", "c")
    route = Route("main", SessionId("main", "", "console", "dm", "c", "", ""), "agent:main:console:dm:c", chat)
    turn = Turn("t", route, Inbound(chat, "x", "1"), "s", "p", denied_tools=denied)
    log = Journal(trio.open_memory_channel[Any](1)[0]).turn("t", "main", "key")
    with suppress(TurnError):  # nothing is granted, which is as good
        work = Work.granted(turn, agent, relay=Chat(None).relay, log=log)  # type: ignore[arg-type]
        for number, wish in enumerate(wishes):
            below = subagent_work(work, Task("x", toolsets=None if wish is None else tuple(wish)), number)
            granted = {tool.name for tool in below.tools}
            assert granted
            assert granted <= {tool.name for tool in work.tools} - NEVER - denied
            assert below.depth < depth or "delegate_task" not in granted
            work = below


async def test_session_that_took_every_tool_away_is_told_where_to_get_them_back(tmp_path: Path) -> None:
    """The operator's config is not at fault there, and the person can help themselves."""
    async with line(tmp_path, playing(hello=done), policy=ToolPolicy((Layer("agent", allow=frozenset({"todo"})),))) as (
        gateway,
        _,
    ):
        chat = Chat(gateway)
        await chat.say("/tools off todo")
        outbound = await chat.say("hello")
    assert outbound.error == "no_tools"
    assert outbound.text == (
        "Agent main is granted no tool in this session on console, so it takes no turn there: /tools lists them."
    )
