"""Tests of hermes_iso.hooks.helper: whatever its process does, a question has an answer or a reason in bounded time."""

from contextlib import asynccontextmanager

import pytest
import trio

from hermes_iso.background import Background
from hermes_iso.hooks.helper import LOAD_TIMEOUT, QUEUE_TIMEOUT, REST, Helper, HookFailedError
from hermes_iso.hooks.hook import Hook
from hermes_iso_sandbox import SandboxError, wire
from tests.support.line import FakePool

HOOKS = (Hook("one", frozenset({"select_agent"}), "one"), Hook("two", entry="package:two", packages="/site"))
LOADED = {"loaded": [{"events": []}, {"events": ["agent:end"]}]}


def answering(*answers, loaded=LOADED):
    """Return a script of a process that loads hooks and gives these answers; None says nothing, ... ends it."""

    async def script(guest):
        await guest.hear()
        await guest.say(wire.BrokerCall(1, "hook", loaded))
        for number, answer in enumerate(answers, start=2):
            await guest.hear()
            if answer is ...:
                return
            if answer is None:
                await trio.sleep_forever()
            await guest.say(answer if not isinstance(answer, dict) else wire.BrokerCall(number, "hook", answer))
        await trio.sleep_forever()

    return script


@asynccontextmanager
async def serving(script, pool=None):
    """Serve a helper whose processes are scripts."""
    pool = pool or FakePool(script)
    helper = Helper(pool, None, HOOKS)
    async with Background() as nursery:
        nursery.start_soon(helper.serve_helper)
        yield helper, pool


async def asked(helper, timeout=2.0):
    """Ask, and return the value or the reason why there is none."""
    try:
        return await helper.ask(0, "select_agent", {}, timeout=timeout)
    except HookFailedError as error:
        return f"failed: {error}"


async def test_one_process_answers_many_questions():
    """Answers come in order, and an installed hook's events are those that it names when loaded."""
    async with serving(answering({"value": "a"}, {"value": None}, {"value": {"x": 1}, "said": "hm"})) as (helper, pool):
        await helper.ready.wait()
        assert helper.events == [frozenset(), frozenset({"agent:end"})]
        assert [await asked(helper) for _ in range(3)] == ["a", None, {"x": 1}]
        assert len(pool.sessions) == 1


@pytest.mark.parametrize(
    ("answer", "reason", "processes"),
    [
        ({"error": "ValueError: boom"}, "failed: ValueError: boom", 1),
        (None, "failed: took longer than 2 s", 2),
        (..., "failed: ended its own process", 2),
        (wire.TurnDone("x"), "failed: sent something that is no answer", 2),
        (wire.BrokerCall(9, "model", {}), "failed: sent something that is no answer", 2),
    ],
)
async def test_a_failure_is_said_and_the_next_question_is_answered(autojump_clock, answer, reason, processes):
    """A hook that raises goes on; a process that hangs, dies or babbles is replaced."""
    scripts = [answering(answer, {"value": "after"}), answering({"value": "after"})]

    async def script(guest):
        await scripts.pop(0)(guest)

    async with serving(script) as (helper, pool):
        assert await asked(helper) == reason
        assert await asked(helper) == "after"
        assert len(pool.sessions) == processes


async def test_questions_wait_for_each_other_and_not_for_ever(autojump_clock):
    """A hook that takes its time delays others; a question that can't even be asked fails when its patience ends."""
    async with serving(answering(None)) as (helper, _):
        await helper.ready.wait()
        began = trio.current_time()
        reasons = []

        async def ask(timeout):
            reasons.append(await asked(helper, timeout))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 60.0)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, 2.0)
        assert reasons == [f"failed: had to wait for more than {QUEUE_TIMEOUT:g} s", "failed: took longer than 60 s"]
        assert trio.current_time() - began == pytest.approx(60)


async def test_process_that_can_not_be_had_fails_questions_at_once(autojump_clock):
    """Nobody waits while no process can be had; once one can, it answers."""

    class Refusing(FakePool):
        broken = True

        @asynccontextmanager
        async def lease(self, confinement, *, session):
            if self.broken:
                raise SandboxError("no sandbox")
            async with super().lease(confinement, session=session) as lease:
                yield lease

    pool = Refusing(answering({"value": "at last"}))
    async with serving(None, pool) as (helper, _):
        await helper.ready.wait()
        began = trio.current_time()
        assert "no process for hooks could be had (no sandbox)" in await asked(helper)
        assert trio.current_time() == began
        pool.broken = False
        await trio.sleep(2 * REST)
        assert await asked(helper) == "at last"


@pytest.mark.parametrize("loaded", [{}, {"loaded": []}, {"loaded": "x"}, None])
async def test_process_that_does_not_load_is_given_up(autojump_clock, loaded):
    """A hook that hangs while it is imported, or a process that says nothing of them, never makes anybody wait."""

    async def script(guest):
        await guest.hear()
        if loaded is not None:
            await guest.say(wire.BrokerCall(1, "hook", loaded))
        await trio.sleep_forever()

    async with serving(script) as (helper, _):
        await helper.ready.wait()
        began = trio.current_time()
        assert began <= LOAD_TIMEOUT + 1
        assert "could not be asked" in await asked(helper)
        await trio.sleep(REST + LOAD_TIMEOUT / 2)  # while the next process loads
        began = trio.current_time()
        assert "could not be asked" in await asked(helper)
        assert trio.current_time() == began


async def test_what_does_not_fit_in_a_frame_fails_alone():
    """A context that is too large to be told is a failure of this question."""
    async with serving(answering({"value": "small"})) as (helper, _):
        with pytest.raises(HookFailedError, match="can't be told of this"):
            await helper.ask(0, "pre_tool_call", {"args": "x" * (1 << 20)}, timeout=2)
        assert await asked(helper) == "small"
