"""Tests of hermes_iso.hooks.tool_hooks: a refused call never reaches a guest, whatever it is."""

import json
from pathlib import Path
from typing import Any

from hermes_iso.broker.calls import ModelAnswer
from hermes_iso.config.schema import Config
from hermes_iso.hooks.hook import Hook
from hermes_iso.hooks.hooks import Hooks
from hermes_iso.hooks.tool_hooks import UNCALLED
from hermes_iso.messages import Usage
from hermes_iso_sandbox import wire
from tests.support.line import Chat, FakeModels, Guest, make_config, open_line
from tests.unit.hooks.test_hooks import Answers


def call(number: int, name: str, arguments: str) -> dict[str, Any]:
    """Return a tool call as a model makes it."""
    return {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


class CallingModels(FakeModels):
    """A model that calls tools once."""

    def __init__(self, *calls: dict[str, Any]) -> None:
        super().__init__()
        self._said = list(calls)

    async def complete(self, call: Any, on_text: Any) -> ModelAnswer:
        calls, self._said = self._said, []
        if not calls:
            return await super().complete(call, on_text)
        return ModelAnswer({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls", Usage(1, 1, 1))


async def seen_by_guest(home: Path, hooks: Hooks, *calls: dict[str, Any], config: Config | None = None) -> Any:
    """Return the message that a guest gets when a model makes these calls; the guest says that the first one ended."""
    seen: list[Any] = []

    async def script(guest: Guest) -> None:
        await guest.hear()
        answer = await guest.ask(1, "model", messages=[{"role": "user", "content": "x"}])
        seen.append(answer.data["message"])
        await guest.say(wire.ToolReturned("c1", "terminal", False, 0.25))
        await guest.say(wire.ToolReturned("unheard", "made up", True, 0.0))
        await guest.say(wire.TurnDone("done"))

    async with open_line(home, script, models=CallingModels(*calls), config=config, hooks=hooks) as (gateway, _):
        assert (await Chat(gateway).say("hello", user_id="u")).text == "done"
    return seen[0]


async def test_refused_call_is_replaced_before_the_guest_sees_it(tmp_path: Path) -> None:
    """Name and arguments are gone; the other calls of the same answer are as they were."""
    helper = Answers([None, {"action": "block", "message": "no secrets"}, None])
    hooks = Hooks([Hook("guard", frozenset({"pre_tool_call"}))], helper)
    calls = [call(1, "todo", ""), call(2, "terminal", '{"command": "cat secret"}'), call(3, "terminal", "not json")]
    message = await seen_by_guest(tmp_path / "home", hooks, *calls)
    assert [message["tool_calls"][0], message["tool_calls"][2]] == [calls[0], calls[2]]
    replaced = message["tool_calls"][1]
    assert (replaced["id"], replaced["function"]["name"]) == ("c2", "refused")
    assert json.loads(replaced["function"]["arguments"]) == {"tool": "terminal", "reason": "no secrets"}
    assert "secret" not in json.dumps(replaced).replace("no secrets", "")
    told = [context for _, _, context in helper.asked]
    assert [(each["tool_name"], each["args"]) for each in told] == [
        ("todo", {}),
        ("terminal", {"command": "cat secret"}),
        ("terminal", {}),
    ]
    assert {"agent_id": "main", "user_id": "u", "platform": "console", "tool_call_id": "c1"}.items() <= told[0].items()


async def test_answer_without_calls_or_hooks_is_as_it_was(tmp_path: Path) -> None:
    """Nothing is asked, and the message is the model's own."""
    calls = [call(1, "terminal", '{"command": "ls"}')]
    assert (await seen_by_guest(tmp_path / "one", Hooks(), *calls))["tool_calls"] == calls
    helper = Answers(None)
    hooks = Hooks([Hook("guard", frozenset({"pre_tool_call"}))], helper)
    assert await seen_by_guest(tmp_path / "two", hooks) == {"role": "assistant", "content": "word"}
    assert helper.asked == []


async def test_turn_is_told_from_its_beginning_to_its_end(tmp_path: Path, nursery: Any) -> None:
    """Session, turn, step, tools and the end, in order, each with the agent's id; what a guest makes up is told as it says."""
    events = ("session:start", "agent:start", "agent:step", "post_tool_call", "agent:end")
    helper = Answers(None)
    hooks = Hooks([Hook("watch", frozenset(events))], helper)
    nursery.start_soon(hooks.serve_notes)
    await seen_by_guest(tmp_path / "home", hooks, call(1, "terminal", '{"command": "ls"}'))
    await hooks.finish()
    told = [(event, context) for _, event, context in helper.asked]
    assert [event for event, _ in told] == [*events[:4], "post_tool_call", "agent:end"]
    assert {context["agent_id"] for _, context in told} == {"main"}
    assert told[0][1]["session_id"] == told[5][1]["session_id"]
    assert told[2][1]["tool_names"] == ["terminal"]
    expected = {"tool_name": "terminal", "args": {"command": "ls"}, "status": "error", "duration_ms": 250}
    assert expected.items() <= told[3][1].items()
    assert (told[4][1]["tool_name"], told[4][1]["args"]) == ("made up", {})
    assert {"response": "done", "completed": True, "interrupted": False}.items() <= told[5][1].items()


async def test_failed_turn_is_told_as_one(tmp_path: Path, nursery: Any) -> None:
    """A turn whose guest dies ends with its kind of error."""

    async def script(guest: Guest) -> None:
        await guest.hear()

    helper = Answers(None)
    hooks = Hooks([Hook("watch", frozenset({"on_session_end"}))], helper)
    nursery.start_soon(hooks.serve_notes)
    async with open_line(tmp_path / "home", script, config=make_config(tmp_path / "home"), hooks=hooks) as (gateway, _):
        await Chat(gateway).say("hello")
    await hooks.finish()
    assert {"completed": False, "error": "guest_died"}.items() <= helper.asked[0][2].items()


async def test_what_the_gateway_does_itself_needs_no_model_to_be_guarded(tmp_path: Path) -> None:
    """A guest that asks for it by itself is refused what the hook refuses, and one call that passed opens to one request."""
    block = {"action": "block", "message": "no searches"}
    helper = Answers([None, *[block] * (UNCALLED + 5)])
    hooks = Hooks([Hook("guard", frozenset({"pre_tool_call"}))], helper)
    answers: list[wire.BrokerAnswer] = []

    async def script(guest: Guest) -> None:
        await guest.hear()
        await guest.ask(1, "model", messages=[{"role": "user", "content": "x"}])
        answers.extend([await guest.ask(number, "session_search", query="mine") for number in range(2, UNCALLED + 5)])
        await guest.say(wire.TurnDone("done"))

    models = CallingModels(call(1, "session_search", '{"query": "mine"}'))
    async with open_line(tmp_path / "home", script, models=models, hooks=hooks) as (gateway, _):
        assert (await Chat(gateway).say("hello")).text == "done"
    assert answers[0].ok
    assert [each.data["kind"] for each in answers[1:]] == ["not_granted"] * UNCALLED + ["too_many"] * 2
    assert "no searches" in answers[1].data["message"]
    assert helper.asked[1][2]["tool_name"] == "session_search"
    assert helper.asked[1][2]["args"] == {"query": "mine"}
    assert len(helper.asked) == 1 + UNCALLED
