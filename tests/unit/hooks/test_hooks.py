"""Tests of hermes_iso.hooks.hooks: what hooks decide, and that nothing they do is ever raised."""

import pytest
import trio

from hermes_iso.hooks.helper import HookFailedError
from hermes_iso.hooks.hook import EVENTS, MOMENTS, Hook, is_event, takes
from hermes_iso.hooks.hooks import QUEUE, Hooks
from hermes_iso.messages import ChatRef, Inbound
from hermes_iso.routing import Route, SessionId

INBOUND = Inbound(ChatRef("telegram", "-100", thread_id="7"), "hello", "1", user_id="u")
ROUTE = Route("coder", SessionId("coder", "", "telegram", "group", "-100", "7", ""), "key", INBOUND.chat)
DECLARED = {"agent_id": "main", "session_key": "k", "rule": "r", "tier": "default"}


class Answers:
    """Stands for the helper: each hook gives the next of its values, or fails with it."""

    def __init__(self, *values):
        self.values = [list(each) if isinstance(each, list) else [each] for each in values]
        self.asked = []

    async def ask(self, hook, event, context, *, timeout):
        await trio.lowlevel.checkpoint()
        self.asked.append((hook, event, context))
        value = self.values[hook].pop(0) if len(self.values[hook]) > 1 else self.values[hook][0]
        if isinstance(value, Exception):
            raise value
        return value


def hooks_of(*values, event="select_agent"):
    """Return hooks that are all called for one event, and who answers for them."""
    helper = Answers(*values)
    return Hooks([Hook(f"h{number}", frozenset({event})) for number in range(len(values))], helper), helper


async def test_without_hooks_nothing_is_asked_or_told():
    """Every method returns at once, and nothing waits."""
    hooks = Hooks()
    assert await hooks.select_agent(INBOUND, DECLARED, ["main"]) is None
    assert await hooks.refusal({}) is None
    await hooks.tell("agent_started", {})
    await hooks.command("new", INBOUND, ROUTE, arguments="")
    await hooks.gateway_started(["main"], platforms=[])
    assert not hooks.wants("select_agent")
    assert hooks.statistics() == {"hooks": 0, "answered": 0, "failed": 0, "left_out": 0}


@pytest.mark.parametrize(
    ("values", "chosen", "asked"),
    [
        (("coder",), "coder", 1),
        ((None,), None, 1),
        ((None, "coder"), "coder", 2),
        (("coder", "main"), "coder", 1),
        (("main", "coder"), "main", 1),
        (("nobody",), None, 1),
        (("nobody", "coder"), "coder", 2),
        ((HookFailedError("took longer"), "coder"), "coder", 2),
        ((HookFailedError("ended"),), None, 1),
        (({"agent": "coder"},), None, 1),
        ((5,), None, 1),
        (("",), None, 1),
    ],
)
async def test_first_hook_that_names_an_agent_wins(values, chosen, asked):
    """In order; one that fails or names nobody who is served has no opinion, and the declared route stands."""
    hooks, helper = hooks_of(*values)
    assert await hooks.select_agent(INBOUND, DECLARED, ["main", "coder"]) == chosen
    assert [hook for hook, _, _ in helper.asked] == list(range(asked))


async def test_hook_is_told_the_message_and_its_declared_route():
    """Ids, text, the declared agent and what chose it, and who may be named."""
    hooks, helper = hooks_of(None)
    await hooks.select_agent(INBOUND, DECLARED, ["main", "coder"])
    _, event, context = helper.asked[0]
    assert event == "select_agent"
    expected = {**DECLARED, "platform": "telegram", "chat_id": "-100", "thread_id": "7", "user_id": "u", "guild_id": ""}
    assert expected.items() <= context.items()
    assert (context["text"], context["agents"]) == ("hello", ["main", "coder"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, None),
        ({"action": "allow"}, None),
        ({"action": "block", "message": "not so"}, "not so"),
        ({"decision": "block", "reason": "no"}, "no"),
        ({"action": "block"}, "the operator's hook h0 refuses it"),
        ({"action": "block", "message": 5}, "the operator's hook h0 refuses it"),
        ({"action": "approve"}, "it needs somebody's approval, and this version can't ask for that"),
        ({"action": "dunno"}, "the operator's hook h0 refuses it"),
        ({}, "the operator's hook h0 refuses it"),
        (True, "the operator's hook h0 refuses it"),
        ("block", "the operator's hook h0 refuses it"),
        (HookFailedError("took longer"), "the operator's hook h0 could not be asked whether it may be done"),
    ],
)
async def test_tool_call_passes_only_by_an_answer_that_lets_it(value, words):
    """A guard that fails, or says what nobody understands, refuses."""
    hooks, _ = hooks_of(value, event="pre_tool_call")
    assert await hooks.refusal({"tool_name": "terminal"}) == words


async def test_every_guard_is_asked_until_one_refuses():
    """One that agrees does not speak for the others."""
    hooks, helper = hooks_of(None, {"action": "block", "message": "b"}, None, event="pre_tool_call")
    assert await hooks.refusal({}) == "b"
    assert len(helper.asked) == 2


async def test_a_long_refusal_is_cut():
    """A model is told a sentence."""
    hooks, _ = hooks_of({"action": "block", "message": "x" * 5000}, event="pre_tool_call")
    assert await hooks.refusal({}) == "x" * 500


async def test_what_is_told_reaches_each_hook_by_the_name_it_chose(nursery):
    """A moment has the names of Hermes' file hooks and plugins; a failing hook keeps nothing from the others."""
    helper = Answers(HookFailedError("boom"), None, None)
    named = [frozenset({"session:end"}), frozenset({"on_session_reset"}), frozenset({"command:*"})]
    hooks = Hooks([Hook(f"h{number}", events) for number, events in enumerate(named)], helper)
    nursery.start_soon(hooks.serve_notes)
    await hooks.session_reset(INBOUND, ROUTE, old_session_id="1", new_session_id="2", reason="new")
    await hooks.command("model", INBOUND, ROUTE, arguments="x")
    await hooks.tell("agent_started", {})
    await hooks.finish()
    assert [(hook, event) for hook, event, _ in helper.asked] == [
        (0, "session:end"),
        (1, "on_session_reset"),
        (2, "command:model"),
    ]
    about = {"agent_id": "coder", "session_key": "key", "platform": "telegram", "chat_id": "-100", "user_id": "u"}
    assert all(about.items() <= context.items() for _, _, context in helper.asked)
    assert (helper.asked[2][2]["command"], helper.asked[2][2]["args"]) == ("model", "x")
    assert helper.asked[1][2]["new_session_id"] == "2"
    assert hooks.statistics() == {"hooks": 3, "answered": 2, "failed": 1, "left_out": 0}


async def test_what_does_not_fit_in_the_queue_is_left_out_and_counted():
    """No turn waits for a hook that only watches."""
    hooks, _ = hooks_of(None, event="agent:start")
    for _ in range(QUEUE + 3):
        await hooks.tell("agent_started", {})
    assert hooks.statistics()["left_out"] == 3


def test_events_are_known_by_name():
    """Every name of a moment is an event, and commands are a family."""
    assert all(is_event(event) for events in MOMENTS.values() for event in events)
    assert is_event("command:*")
    assert is_event("command:new")
    assert not is_event("command:")
    assert not is_event("pre_llm_call")
    assert takes({"command:*"}, "command:new")
    assert not takes({"command:old"}, "command:new")
    assert not takes(EVENTS, "agent")
