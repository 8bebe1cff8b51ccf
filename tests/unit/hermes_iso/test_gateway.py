"""The line as a whole: routes, grants, drains, refuses."""

from pathlib import Path

import pytest
import trio
import trio.testing

from hermes_iso.errors import DrainingError, RouteRejectedError, UsageError
from hermes_iso.gateway import open_gateway
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.policy import Layer, ToolPolicy
from hermes_iso.rules import RouteRule
from hermes_iso_sandbox import wire
from tests.support.line import Chat, FakeModels, Guest, make_agent, make_config, open_line


async def test_message_goes_to_its_routes_agent(tmp_path: Path) -> None:
    """The route's agent answers, under its own persona, and the outbound says who."""
    home = tmp_path / "home"
    config = make_config(home, routes=(RouteRule("coder", chat_id="work"),))

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        await guest.say(wire.TurnDone(f"{request.agent} {request.session_key}"))

    async with open_line(home, script, config=config) as (gateway, _):
        chat = Chat(gateway)
        work, other = await chat.say("x", "work"), await chat.say("x", "home")
        assert (work.agent, work.text) == ("coder", "coder agent:coder:console:dm:work")
        assert (other.agent, other.text) == ("main", "main agent:main:console:dm:home")


async def test_grant_is_what_the_policy_leaves(tmp_path: Path) -> None:
    """A denied tool is neither named to the guest nor offered to the model; an allow list leaves nothing else."""
    home = tmp_path / "home"
    agents = {
        "main": make_agent(home, policy=ToolPolicy((Layer("agent", deny=frozenset({"terminal"})),))),
        "coder": make_agent(home, "coder", policy=ToolPolicy((Layer("agent", allow=frozenset({"todo"})),))),
    }
    seen: list[list[str]] = []

    async def script(guest: Guest) -> None:
        request = await guest.hear()
        seen.append(request.tools)
        await guest.ask(1, "model", messages=[{"role": "user", "content": "x"}])
        await guest.say(wire.TurnDone("ok"))

    models = FakeModels()
    async with open_line(home, script, config=make_config(home, agents=agents), models=models) as (gateway, _):
        assert (await Chat(gateway).say("x")).error is None
        assert (await Chat(gateway).say("x", agent="coder")).error is None
    assert "terminal" not in seen[0]
    assert seen[1] == ["todo"]
    assert [[tool.name for tool in call.tools] for call in models.calls] == seen


async def test_agent_that_is_not_served_is_rejected_before_anything_runs(tmp_path: Path) -> None:
    """An unknown agent raises; nothing is delivered."""
    async with open_line(tmp_path / "home") as (gateway, pool):
        chat = Chat(gateway)
        with pytest.raises(RouteRejectedError, match="ghost"):
            await chat.say("x", agent="ghost")
        assert (chat.delivered, pool.most_living) == ([], 0)


async def test_turn_sees_the_files_as_they_stand(tmp_path: Path) -> None:
    """Every turn's confinement is made anew, so an edited .env reaches the next turn; a broken one fails it with a sentence."""
    home = tmp_path / "home"
    config = make_config(home)
    seen: list[bytes] = []
    async with open_line(home, config=config) as (gateway, pool):
        lease = pool.lease

        def watching(confinement, *, session):
            seen.append(next(each.content for each in confinement.files if each.target == "/hermes/.env"))
            return lease(confinement, session=session)

        pool.lease = watching  # type: ignore[method-assign]
        (home / ".env").write_text("WORD=one\n")
        await Chat(gateway).say("x")
        (home / ".env").write_text("WORD=two\n")
        await Chat(gateway).say("x")
        (home / "memories").rmdir()
        (home / "memories").write_text("in the way")
        broken = await Chat(gateway).say("x")
    assert b"one" in seen[0]
    assert b"two" in seen[1]
    assert broken.error == "config"
    assert str(home) not in broken.text


async def test_drain_waits_for_running_turns_and_takes_no_new_ones(tmp_path: Path) -> None:
    """A running turn ends as usual; a new message is refused at once."""
    go = trio.Event()

    async def script(guest: Guest) -> None:
        await guest.hear()
        await go.wait()
        await guest.say(wire.TurnDone("done"))

    async with open_line(tmp_path / "home", script) as (gateway, pool), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        nursery.start_soon(chat.say, "x")
        while not pool.living:
            await trio.testing.wait_all_tasks_blocked(0.005)
        nursery.start_soon(gateway.drain)
        await trio.testing.wait_all_tasks_blocked(0.005)
        with pytest.raises(DrainingError):
            await chat.say("y")
        assert gateway.statistics()["draining"] is True
        go.set()
    assert [outbound.text for outbound in chat.delivered] == ["done"]


async def test_drain_ends_what_does_not_end(tmp_path: Path) -> None:
    """After its patience, turns are ended and told so, those that waited in a queue too."""

    async def script(guest: Guest) -> None:
        await trio.sleep_forever()

    async with open_line(tmp_path / "home", script) as (gateway, pool), trio.open_nursery() as nursery:
        chat = Chat(gateway)
        nursery.start_soon(chat.say, "x")
        nursery.start_soon(chat.say, "y")
        while not pool.living:
            await trio.testing.wait_all_tasks_blocked(0.005)
        with trio.fail_after(5):
            await gateway.drain(0.05)
        assert [outbound.error for outbound in chat.delivered] == ["draining", "draining"]


async def test_exec_names_the_agents_there_are(tmp_path: Path) -> None:
    """A command for an unknown agent is a usage error; for a known one its status comes back."""
    async with open_line(tmp_path / "home") as (gateway, pool):
        with pytest.raises(UsageError, match="main, coder"):
            await gateway.exec_command("ghost", ["true"], stdio=(0, 1, 2))
        assert await gateway.exec_command("coder", ["true"], stdio=(0, 1, 2), timeout=3) == 7
        assert pool.commands == [(("true",), 3)]


@pytest.mark.sandbox
@pytest.mark.slow
async def test_real_gateway_answers_from_a_sandbox(tmp_path: Path) -> None:
    """The real pool, guest, engine and offline model: a message goes in, a tool runs inside, the answer comes out."""
    async with open_gateway(make_config(tmp_path / "home")) as gateway:
        chat = Chat(gateway)
        plain = await chat.say("hello there")
        tool = await chat.say("RUN pwd; echo $HERMES_ISO_AGENT")
        assert (plain.error, tool.error) == (None, None)
        assert "agent=main" in plain.text
        assert "hello there" in plain.text
        assert "/workspace" in tool.text
        assert "main" in tool.text
        assert tool.usage.calls == 2
        assert ("tool_called", "terminal") in [(each.kind, each.name) for each in chat.shown]
        again = await gateway.handle(Inbound(ChatRef("console", "c"), "x", "1"), chat.deliver, chat.relay)
        assert again.outbound.session_id == plain.session_id


@pytest.mark.sandbox
async def test_error_in_the_body_of_an_open_gateway_passes_as_it_is(tmp_path: Path) -> None:
    """What the caller raises is not hidden in a group, and the home is free again."""
    config = make_config(tmp_path / "home")
    for _ in range(2):
        with pytest.raises(UsageError, match="mine"):
            async with open_gateway(config):
                raise UsageError("mine")
