"""The tool delegate_task in the guest: it hands over what was asked, and the engine keeps to what is left afterwards."""

import json

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines.native import take_turn
from hermes_iso_sandbox.guest.link import CallError
from hermes_iso_sandbox.guest.tools.registry import Registry
from tests.support.fake_link import FakeLink, calls, says

TOLD = {"results": [{"task_index": 0, "status": "completed", "summary": "done"}], "total_duration_seconds": 1.5}


def test_call_goes_to_the_host_and_its_answer_to_the_model(use, link):
    """Arguments that were given, and no others; a list that a model wrote as text is a list."""
    link.script = [{**TOLD, "steps_left": 5}, TOLD]
    assert use("delegate_task", goal="find it", context=None, toolsets='["file"]', role="leaf") == {
        **TOLD,
        "ignored_arguments": ["role"],
    }
    assert use("delegate_task", tasks=[{"goal": "a"}]) == TOLD
    assert link.calls == [
        ("delegate", {"goal": "find it", "toolsets": ["file"]}),
        ("delegate", {"tasks": [{"goal": "a"}]}),
    ]


def test_refusal_of_the_host_is_the_tools_error(use, link):
    """In the host's own sentence."""
    link.script = [CallError("too_many", "Do the rest yourself.")]
    assert use("delegate_task", goal="x") == {"error": "Do the rest yourself."}


def test_call_that_the_host_would_not_take_is_not_made(use, link):
    """A longer one would end the turn; the model is told what to do instead."""
    assert "to a file" in use("delegate_task", goal="x", context="é" * 40_000)["error"]
    assert link.calls == []


def test_engine_ends_its_turn_with_the_steps_that_subagents_left(workspace):
    """With none left it asks for a last word rather than for more."""
    for left, asked in ((0, 2), (1, 3), (50, 3)):
        more = [calls(("todo", {})), says("the end")] if left else [says("the end")]
        with FakeLink(calls(("delegate_task", {"goal": "x"})), {**TOLD, "steps_left": left}, *more) as link:
            request = wire.TurnRequest("t", "a", "k", "s", "hello", [], "", "", ["delegate_task", "todo"], 20)
            assert take_turn(request, link).text == "the end"
            assert [method for method, _ in link.calls].count("model") == asked
            last = link.calls[-1][1]["messages"][-1]
            assert ("used up the steps" in json.dumps(last)) == (left < 2)


def test_preview_is_the_goal_or_the_tasks(bench):
    """Somebody who watches sees what was delegated, also in a batch."""
    registry = Registry(["delegate_task", "todo"], bench)
    assert registry.preview("delegate_task", '{"context": "c", "goal": "find it"}') == "find it"
    assert registry.preview("delegate_task", '{"tasks": [{"goal": "a"}]}') == '{"tasks": [{"goal": "a"}]}'
    assert registry.preview("todo", "{}") == ""
