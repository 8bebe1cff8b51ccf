"""Tests of hermes_iso.broker.delegation: what a guest may ask for, and how much of it."""

import json

import pytest
import trio
import trio.testing

from hermes_iso.agents import Allowance
from hermes_iso.broker.delegation import AT_A_TIME, SUMMARY_BYTES, DelegateBroker, Task, tasks_of
from hermes_iso.errors import TurnError
from hermes_iso.messages import Usage
from hermes_iso.outcomes import Outcome


class Steps:
    """A budget that leaves seven steps."""

    steps_left = 7


def broker(run, *, count=5, refusal=""):
    """Return a broker with so many subagents left, and their allowance."""
    allowance = Allowance(count)
    return DelegateBroker(allowance, run, refusal=refusal, budget=Steps()), allowance


async def done(task, number):
    """Answer with the task's own goal."""
    return Outcome(f"{number}: {task.goal}", usage=Usage(3, 2, 1))


@pytest.mark.parametrize(
    ("params", "tasks"),
    [
        ({"goal": " a "}, [Task("a")]),
        ({"goal": "a", "context": "b", "toolsets": ["file", "todo"]}, [Task("a", "b", ("file", "todo"))]),
        ({"goal": "a", "context": None, "toolsets": None, "tasks": None}, [Task("a")]),
        ({"goal": "a", "tasks": []}, [Task("a")]),
        ({"goal": "", "tasks": [{"goal": "a"}, {"goal": "b", "context": "c"}]}, [Task("a"), Task("b", "c")]),
        (
            {"tasks": [{"goal": "a"}, {"goal": "b", "toolsets": ["todo"]}], "toolsets": ["file"], "context": "all"},
            [Task("a", "all", ("file",)), Task("b", "all", ("todo",))],
        ),
        ({"goal": "a\ud800", "further": 1}, [Task("a?")]),
    ],
)
def test_tasks_are_read_as_models_write_them(params, tasks):
    """One goal or a list of tasks; nulls and empty texts count as left out, what is given beside a list holds for all."""
    assert tasks_of(params) == tasks


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "needs a goal"),
        ({"goal": 5}, "needs a goal"),
        ({"goal": "  "}, "needs a goal"),
        ({"goal": "a", "tasks": [{"goal": "b"}]}, "both goal and tasks"),
        ({"tasks": []}, "tasks as a list"),
        ({"tasks": "a"}, "tasks as a list"),
        ({"tasks": [{"goal": "a"}] * 65}, "tasks as a list of 1 to 64"),
        ({"tasks": ["a"]}, "tasks[0] to be an object"),
        ({"tasks": [{"goal": "a"}, {}]}, "a goal as text in tasks[1]"),
        ({"goal": "a", "context": {"a": 1}}, "context"),
        ({"goal": "a", "toolsets": "file"}, "to be a list of names"),
        ({"goal": "a", "toolsets": [1]}, "to be a list of names"),
        ({"goal": "a", "toolsets": []}, "grants nothing"),
        ({"goal": "a", "toolsets": ["terminl"]}, "'terminal' is the nearest"),
        ({"goal": "a", "toolsets": ["*"]}, "unknown toolset '*'"),
    ],
)
async def test_call_that_makes_no_sense_is_refused_and_begins_nothing(params, words):
    """The guest is told in one sentence what is wrong; no subagent is used up."""
    asked, allowance = broker(done)
    with pytest.raises(TurnError) as caught:
        await asked.answer(params)
    assert caught.value.kind == "bad_params"
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")
    assert allowance.left == 5


async def test_results_come_in_the_order_of_the_tasks():
    """Each with how it ended, what it cost and how long it took; the answer says how many steps are left."""

    async def run(task, number):
        await trio.sleep(0 if task.goal == "b" else 1)
        if task.goal == "c":
            raise TurnError("no_tools", "Nothing is granted.")
        if task.goal == "d":
            return Outcome("It died.", error="guest_died")
        return Outcome(f"{number}: {task.goal}", usage=Usage(3, 2, 1), interrupted=task.goal == "b")

    asked, _ = broker(run)
    with trio.fail_after(5):
        answer = await asked.answer({"tasks": [{"goal": goal} for goal in "abcd"]})
    shown = [(each["task_index"], each["status"], each["summary"], each["error"]) for each in answer["results"]]
    assert shown == [
        (0, "completed", "1: a", None),
        (1, "interrupted", "2: b", None),
        (2, "failed", None, "Nothing is granted."),
        (3, "failed", None, "It died."),
    ]
    assert (answer["results"][0]["api_calls"], answer["results"][0]["tokens"]) == (1, {"input": 3, "output": 2})
    assert answer["steps_left"] == 7


async def test_allowance_holds_over_all_calls_and_a_call_takes_all_or_nothing():
    """Two calls share it; one that asks for more than is left begins none and says how many it may have."""
    begun = []

    async def run(task, number):
        begun.append(number)
        return Outcome("ok")

    asked, allowance = broker(run, count=3)
    await asked.answer({"goal": "a"})
    with pytest.raises(TurnError, match="ask for at most 2 more") as caught:
        await asked.answer({"tasks": [{"goal": "a"}] * 3})
    assert (caught.value.kind, allowance.left, begun) == ("too_many", 2, [1])
    await asked.answer({"tasks": [{"goal": "a"}] * 2})
    for _ in range(1000):
        with pytest.raises(TurnError, match="do the rest yourself"):
            await asked.answer({"goal": "a"})
    assert sorted(begun) == [1, 2, 3]


async def test_no_more_than_three_work_at_a_time(autojump_clock):
    """Over all calls of the turn together; the others wait for a place."""
    working = most = 0

    async def run(task, number):
        nonlocal working, most
        working += 1
        most = max(most, working)
        await trio.sleep(1)
        working -= 1
        return Outcome("ok")

    asked, _ = broker(run, count=12)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(asked.answer, {"tasks": [{"goal": "a"}] * 4})
    assert most == AT_A_TIME
    assert trio.current_time() == pytest.approx(4, abs=0.01)


async def test_turn_that_may_not_delegate_is_told_why_before_anything_is_read():
    """Whatever it asks."""
    asked, allowance = broker(done, refusal="Not here.")
    for params in ({}, {"goal": "a"}):
        with pytest.raises(TurnError, match=r"Not here\.") as caught:
            await asked.answer(params)
        assert caught.value.kind == "not_granted"
    assert allowance.left == 5


@pytest.mark.parametrize("piece", ["a", "\x01", "é"])
async def test_summaries_fit_one_result_together(piece):
    """Long ones are cut, with a word that says so; short ones are whole."""

    async def run(task, number):
        return Outcome("short" if number == 1 else piece * 1_000_000)

    asked, _ = broker(run)
    answer = await asked.answer({"tasks": [{"goal": "a"}] * 5})
    assert len(json.dumps(answer, ensure_ascii=False).encode()) < SUMMARY_BYTES + 2000
    assert answer["results"][0]["summary"] == "short"
    assert answer["results"][4]["summary"].endswith("[The rest of this summary was cut.]")


async def test_cancelling_ends_every_subagent():
    """The parent's end is theirs."""
    ended = []

    async def run(task, number):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(number)

    asked, _ = broker(run)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asked.answer, {"tasks": [{"goal": "a"}] * 3})
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert sorted(ended) == [1, 2, 3]
