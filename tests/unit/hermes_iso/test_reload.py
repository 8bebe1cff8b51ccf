"""Reloads of a gateway whose guests are scripts: who is answered by which generation, and what is let go of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from hermes_iso.config.schema import Config
from hermes_iso.errors import ConfigError, DrainingError, HermesIsoError, Problem, RouteRejectedError, UsageError
from hermes_iso.gateway import Gateway
from hermes_iso.reload import Controls
from hermes_iso_sandbox import wire
from tests.support.line import Chat, FakePool, Guest, Script, echo, make_agent, make_config, open_line


class Home:
    """What the gateway's next load finds: a config, or an error to raise."""

    def __init__(self, config: Config) -> None:
        self.found: Config | Exception = config
        self.config = config
        self.loads = 0

    def load(self) -> Config:
        self.loads += 1
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def serves(self, *agents: str, **changes: object) -> None:
        """Have the next load find these agents."""
        self.found = replace(self.config, agents={name: make_agent(self.config.home, name, **changes) for name in agents})


@asynccontextmanager
async def serving(path: Path, script: Script = echo) -> AsyncIterator[tuple[Gateway, FakePool, Home]]:
    """Open a line that can be reloaded."""
    home = Home(make_config(path / "home"))
    controls = Controls(home.load, trio.Event())
    async with open_line(path / "home", script, config=home.config, controls=controls) as (gateway, pool):
        yield gateway, pool, home


async def until(condition: Callable[[], bool]) -> None:
    """Let the gateway's own tasks get there."""
    with trio.fail_after(5):
        while not condition():
            await trio.testing.wait_all_tasks_blocked(0.005)


async def test_turn_that_runs_keeps_its_generation(tmp_path: Path) -> None:
    """A turn sees one config from its start to its end; the next one sees the new, and an agent that is gone refuses."""
    go = trio.Event()
    personas: list[str] = []

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        personas.append(request.persona)
        if request.text == "wait":
            await go.wait()
        await guest.say(wire.TurnDone("done"))

    async with serving(tmp_path, script) as (gateway, pool, home), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        nursery.start_soon(lambda: chat.say("wait", agent="coder"))
        await until(lambda: pool.living == 1)
        home.serves("main", "new", persona="Another.")
        change = await gateway.reload("test")
        assert (change.added, change.changed, change.removed) == (("new",), ("main",), ("coder",))
        assert (await chat.say("x", chat="other", agent="new")).error is None
        with pytest.raises(RouteRejectedError, match="coder"):
            await chat.say("x", agent="coder")
        go.set()
        await until(lambda: len(chat.delivered) == 2)
    assert [each.error for each in chat.delivered] == [None, None]
    assert personas == ["You are a test.", "Another."]


async def test_records_of_a_removed_agent_stay_open_for_its_last_turn(tmp_path: Path) -> None:
    """Its answer is kept in its history, and only then is its database closed; coming back it remembers."""
    go = trio.Event()

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        if request.text == "wait":
            await go.wait()
        await guest.say(wire.TurnDone(str(len(request.history)), [{"role": "assistant", "content": "x"}]))

    async with serving(tmp_path, script) as (gateway, pool, home), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        nursery.start_soon(lambda: chat.say("wait", agent="coder"))
        await until(lambda: pool.living == 1)
        databases = gateway._services.records.databases
        home.serves("main")
        await gateway.reload("test")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(databases.by_agent) == ["coder", "main"]
        go.set()
        await until(lambda: sorted(databases.by_agent) == ["main"])
        home.serves("main", "coder")
        await gateway.reload("test")
        assert (await chat.say("y", agent="coder")).text == "2"


async def test_agent_that_comes_and_goes_is_let_go_of_only_when_no_generation_has_it(tmp_path: Path) -> None:
    """A turn of a generation in between keeps what it needs, whichever older or newer one ends first."""
    go = {name: trio.Event() for name in ("first", "second")}

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        await go[request.text].wait()
        await guest.say(wire.TurnDone("done", [{"role": "assistant", "content": "x"}]))

    async with serving(tmp_path, script) as (gateway, pool, home), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        databases = gateway._services.records.databases
        coder = home.config.home / "profiles" / "coder"
        nursery.start_soon(lambda: chat.say("first", agent="coder"))
        await until(lambda: pool.living == 1)
        for agents in (("main",), ("main", "coder")):
            home.serves(*agents)
            await gateway.reload("test")
        nursery.start_soon(lambda: chat.say("second", chat="d", agent="coder"))
        await until(lambda: pool.living == 2)
        home.serves("main")
        await gateway.reload("test")
        go["first"].set()
        await until(lambda: len(chat.delivered) == 1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(databases.by_agent) == ["coder", "main"]
        retired = pool.retired.count(coder)
        go["second"].set()
        await until(lambda: sorted(databases.by_agent) == ["main"])
        assert pool.retired.count(coder) > retired
    assert [each.error for each in chat.delivered] == [None, None]


async def test_sandboxes_of_removed_agents_end_and_those_of_new_ones_are_made(tmp_path: Path) -> None:
    """An agent that did not change is left alone, a changed one's sandbox is made anew ahead of its turn."""
    async with serving(tmp_path) as (gateway, pool, home):
        home.found = replace(
            home.config,
            agents={
                "main": home.config.agents["main"],
                "new": make_agent(home.config.home, "new"),
            },
        )
        await gateway.reload("test")
        coder = home.config.home / "profiles" / "coder"
        await until(lambda: pool.retired == [coder, coder])
        assert pool.warmed == ["new"]
        home.serves("main", "new", turn_timeout=5.0)
        await gateway.reload("test")
        await until(lambda: len(pool.warmed) == 3)
        assert pool.warmed[1:] == ["main", "new"]


@pytest.mark.parametrize(
    "error", [ConfigError([Problem("F", 1, "k", "is wrong")]), UsageError("no"), UsageError("The disk is full.")]
)
async def test_refused_reload_changes_nothing_and_is_remembered(tmp_path: Path, error: Exception) -> None:
    """The error passes to whoever asked, the old generation serves on, and the status tells why."""
    async with serving(tmp_path) as (gateway, _, home):
        home.found = error
        with pytest.raises(type(error)):
            await gateway.reload("test")
        assert gateway.generation.number == 1
        assert gateway.last_reload is not None
        assert (gateway.last_reload.why, gateway.last_reload.problems) == ("test", (str(error),))
        assert (await Chat(gateway).say("x")).error is None
        home.found = home.config
        assert (await gateway.reload("test")).number == 2
        assert gateway.last_reload.problems == ()


async def test_reload_that_crashes_is_told_in_a_sentence_and_the_gateway_goes_on(tmp_path: Path) -> None:
    """Whatever a home makes the gateway trip over, nobody who is served notices."""
    async with serving(tmp_path) as (gateway, pool, home):
        home.found = ZeroDivisionError("a fault")
        with pytest.raises(HermesIsoError, match="its log says what"):
            await gateway.reload("test")
        assert gateway.last_reload is not None
        assert len(gateway.last_reload.problems) == 1

        async def retire(place: Path) -> None:
            raise OSError(str(place))

        pool.retire = retire  # type: ignore[method-assign]
        home.serves("main")
        await gateway.reload("test")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await Chat(gateway).say("x")).error is None


async def test_agent_whose_records_cannot_be_made_refuses_the_reload(tmp_path: Path) -> None:
    """What can fail comes before the swap: then the new agent is not there at all."""
    async with serving(tmp_path) as (gateway, _, home):
        (home.config.home / "hermes-iso" / "agents" / "new").write_text("in the way")
        home.serves("main", "coder", "new")
        with pytest.raises(UsageError, match="is no directory"):
            await gateway.reload("test")
        assert gateway.generation.number == 1
        assert list(gateway.config.agents) == ["main", "coder"]


async def test_reloads_come_one_after_the_other(tmp_path: Path) -> None:
    """Two at once are two generations, each made from a load of its own."""
    async with serving(tmp_path) as (gateway, _, home):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(gateway.reload, "test")
        assert (gateway.generation.number, home.loads) == (4, 3)


async def test_gateway_that_drains_or_has_nothing_to_load_does_not_reload(tmp_path: Path) -> None:
    """Both are said in a sentence; so is stopping one that serves a single command."""
    async with serving(tmp_path) as (gateway, _, home):
        await gateway.drain()
        with pytest.raises(DrainingError):
            await gateway.reload("test")
        assert home.loads == 0
    async with open_line(tmp_path / "home") as (gateway, _):
        with pytest.raises(UsageError, match="one command alone"):
            await gateway.reload("test")
        with pytest.raises(UsageError, match="one command alone"):
            gateway.stop()
