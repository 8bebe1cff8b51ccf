"""Slots: who gets the next place, and how many there are."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from hermes_iso.slots import PASSED_OVER, Slots
from tests.support.chats import message


class Crowd:
    """Turns that take a place, note it, and hold it until they are let go."""

    def __init__(self, slots: Slots, nursery: trio.Nursery) -> None:
        self.order: list[str] = []
        self.slots = slots
        self.nursery = nursery
        self.ends: list[trio.Event] = []

    async def come(self, agent: str, most: int | None = None, *, clock: bool = False) -> None:
        end = trio.Event()

        async def run() -> None:
            async with self.slots.slot_of(message("x", clock=clock), agent, most):
                self.order.append(agent)
                self.ends.append(end)
                await end.wait()

        self.nursery.start_soon(run)
        await wait_all_tasks_blocked()

    async def end_one(self) -> None:
        self.ends.pop(0).set()
        await wait_all_tasks_blocked()


async def test_agent_with_fewest_turns_gets_the_next_place(nursery):
    """An agent with many messages waiting does not keep another one from its first turn."""
    crowd = Crowd(Slots(1), nursery)
    for agent in "aaaab":
        await crowd.come(agent)
    await crowd.end_one()
    assert crowd.order == ["a", "b"]
    nursery.cancel_scope.cancel()


async def test_people_go_before_clocks(nursery):
    """What a clock began waits until no person does."""
    crowd = Crowd(Slots(1), nursery)
    await crowd.come("a")
    await crowd.come("b", clock=True)
    for _ in range(3):
        await crowd.come("a")
    for _ in range(4):
        await crowd.end_one()
    assert crowd.order == ["a", "a", "a", "a", "b"]
    nursery.cancel_scope.cancel()


async def test_agents_own_limit_leaves_places_to_others(nursery):
    """An agent at its own limit waits, although there are places, and those behind it do not."""
    crowd = Crowd(Slots(10), nursery)
    for agent in "aab":
        await crowd.come(agent, 1 if agent == "a" else None)
    assert crowd.order == ["a", "b"]
    await crowd.end_one()
    assert crowd.order == ["a", "b", "a"]
    nursery.cancel_scope.cancel()


async def test_nobody_is_passed_over_for_ever(nursery):
    """A busy agent's oldest message goes after so many others went before it."""
    crowd = Crowd(Slots(1), nursery)
    for agent in "aaa":
        await crowd.come(agent)
    for number in range(PASSED_OVER + 1):
        await crowd.come(f"other-{number}")
        await crowd.end_one()
    assert crowd.order[-1] == "a"
    nursery.cancel_scope.cancel()


async def test_slot_given_back_is_another_ones_until_it_is_needed_again(nursery):
    """Who waits for a person holds no place, and gets one again before it goes on."""
    slots, order = Slots(1), []
    slot = slots.slot_of(message("x"), "a", None)
    answered = trio.Event()

    async def asks() -> None:
        async with slot:
            order.append("asks")
            async with slot.given_back():
                await answered.wait()
            order.append("goes on")

    nursery.start_soon(asks)
    await wait_all_tasks_blocked()
    async with slots.slot_of(message("y"), "b", None):
        order.append("other")
        answered.set()
        await wait_all_tasks_blocked()
        assert order == ["asks", "other"]
    await wait_all_tasks_blocked()
    assert order == ["asks", "other", "goes on"]


async def test_what_came_through_another_agent_needs_no_slot():
    """A message of an agent's turn is a part of that turn: else two could wait for each other."""
    slots = Slots(1)
    async with slots.slot_of(message("x"), "a", None), slots.slot_of(message("y", via=("a",)), "b", None):
        assert slots.waiting == 0


async def test_more_places_count_at_once(nursery):
    """A reload may add places; those who wait get them."""
    crowd = Crowd(Slots(1), nursery)
    await crowd.come("a")
    await crowd.come("a")
    crowd.slots.resize(2)
    await wait_all_tasks_blocked()
    assert len(crowd.order) == 2
    nursery.cancel_scope.cancel()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=30), st.integers(1, 3), st.integers(1, 2))
def test_places_are_never_more_than_there_are(turns, places, most):
    """However turns come, are cancelled and end, no limit is exceeded and all that stay get a place."""
    running: list[str] = []
    done: list[str] = []

    async def run(slots: Slots, agent: str) -> None:
        async with slots.slot_of(message("x"), agent, most):
            running.append(agent)
            try:
                assert len(running) <= places
                assert running.count(agent) <= most
                await trio.lowlevel.checkpoint()
                done.append(agent)
            finally:
                running.remove(agent)

    async def main() -> None:
        slots = Slots(places)
        async with trio.open_nursery() as all_of_them:
            for agent, stays in turns:
                if stays:
                    all_of_them.start_soon(run, slots, agent)
                else:
                    with trio.move_on_after(0):
                        await run(slots, agent)
        assert slots.waiting == 0

    trio.run(main)
    assert len(done) >= sum(stays for _, stays in turns)


@pytest.mark.parametrize("places", [1, 64])
async def test_cancelled_wait_leaves_no_place_taken(places):
    """Who stops waiting takes nothing with it."""
    slots = Slots(places)
    with trio.move_on_after(0):
        async with slots.slot_of(message("x"), "a", None):
            await trio.sleep_forever()
    with trio.fail_after(1):
        for _ in range(places):
            await slots.slot_of(message("x"), "a", None).__aenter__()
