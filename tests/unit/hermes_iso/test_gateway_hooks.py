"""The line with hooks: they choose among those who are served, where nobody else has decided."""

from pathlib import Path

import pytest

from hermes_iso.background import Background
from hermes_iso.config.schema import RouteRule
from hermes_iso.errors import RouteRejectedError
from hermes_iso.hooks.helper import HookFailedError
from hermes_iso.hooks.hook import Hook
from hermes_iso.hooks.hooks import Hooks
from tests.support.http import serving
from tests.support.line import CODER_KEY, Chat, make_config, open_line
from tests.unit.hooks.test_hooks import Answers


def choosing(*values):
    """Return hooks that answer these for select_agent, and who is asked."""
    helper = Answers(*values)
    return Hooks([Hook(f"h{number}", frozenset({"select_agent"})) for number in range(len(values))], helper), helper


async def test_hook_overrides_a_declared_route(tmp_path: Path) -> None:
    """The session is the chosen agent's, and the hook was told what the routes say."""
    config = make_config(tmp_path / "home", routes=(RouteRule("main", chat_id="work", where="config.yaml:3"),))
    hooks, helper = choosing("coder")
    async with open_line(tmp_path / "home", config=config, hooks=hooks) as (gateway, _):
        outbound = await Chat(gateway).say("x", "work")
        assert outbound.agent == "coder"
    _, _, context = helper.asked[0]
    assert (context["agent_id"], context["rule"], context["tier"]) == ("main", "config.yaml:3: chat_id=work -> main", "chat_id")
    assert context["session_key"] == "agent:main:console:dm:work"


@pytest.mark.parametrize("value", ["nobody", HookFailedError("took longer"), None, ["coder"]])
async def test_declared_route_stands_when_a_hook_fails(tmp_path: Path, value: object) -> None:
    """An unknown agent, a failure and no opinion all leave the route, and the first two are counted."""
    hooks, _ = choosing([value])
    async with open_line(tmp_path / "home", hooks=hooks) as (gateway, _):
        assert (await Chat(gateway).say("x")).agent == "main"
        assert gateway.statistics()["hooks"]["failed"] == (value is not None)


async def test_hook_is_not_asked_where_the_caller_names_an_agent(tmp_path: Path) -> None:
    """A flag, a path or a bound key has decided already."""
    hooks, helper = choosing("coder")
    async with open_line(tmp_path / "home", hooks=hooks) as (gateway, _):
        assert (await Chat(gateway).say("x", agent="main")).agent == "main"
    assert helper.asked == []


async def test_rejected_message_stays_rejected(tmp_path: Path) -> None:
    """What no route takes has no route to override."""
    hooks, helper = choosing("coder")
    config = make_config(tmp_path / "home", unmatched="reject")
    async with open_line(tmp_path / "home", config=config, hooks=hooks) as (gateway, _):
        with pytest.raises(RouteRejectedError):
            await Chat(gateway).say("x")
    assert helper.asked == []


async def test_hook_never_widens_what_a_key_opens(tmp_path: Path) -> None:
    """Over HTTP a hook counts for keys of several agents, and only among those; a path or a model's name comes first."""
    hooks, helper = choosing("coder")
    async with serving(tmp_path / "home", hooks=hooks) as served:

        async def answers(**more: object) -> str:
            return str((await served.chat("hello", **more)).headers["x-hermes-agent"])

        assert await answers() == "coder"
        assert helper.asked[-1][2]["text"] == "hello"
        assert helper.asked[-1][2]["agents"] == ["main", "coder"]
        asked = len(helper.asked)
        assert await answers(path="/p/main/v1/chat/completions") == "main"
        assert await answers(model="main") == "main"
        assert await answers(headers={"authorization": f"Bearer {CODER_KEY}"}) == "coder"
        assert len(helper.asked) == asked


async def test_commands_and_new_sessions_are_told(tmp_path: Path) -> None:
    """A hook hears which command was taken, with its arguments, and of both sessions when a chat begins a new one."""
    helper = Answers(*[None] * 9)
    hooks = Hooks([Hook("all", frozenset({"command:*", "session:reset"}))], helper)
    async with open_line(tmp_path / "home", hooks=hooks) as (gateway, _), Background() as background:
        background.start_soon(hooks.serve_notes)
        first = await Chat(gateway).say("x")
        assert "New session" in (await Chat(gateway).say("/new Other things")).text
        await Chat(gateway).say("/nosuch")
        second = await Chat(gateway).say("y")
        await hooks.finish()
    told = {event: context for _, event, context in helper.asked}
    assert sorted(told) == ["command:new", "session:reset"]
    assert (told["command:new"]["command"], told["command:new"]["args"]) == ("new", "Other things")
    ids = (told["session:reset"]["old_session_id"], told["session:reset"]["new_session_id"])
    assert ids == (first.session_id, second.session_id)
