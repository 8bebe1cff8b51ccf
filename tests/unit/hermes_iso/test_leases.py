"""Making sandboxes ahead of their first turn."""

from __future__ import annotations

from pathlib import Path

import trio

from hermes_iso.agents import Agent
from hermes_iso.leases import warm_ahead
from tests.support.line import FakePool, Guest, make_agent


async def _never(_: Guest) -> None:
    raise AssertionError("no turn is asked for")


async def test_a_template_does_not_wait_for_what_an_agent_needs(tmp_path: Path) -> None:
    """What all sandboxes stand on is started, once, while the first agent is still being prepared."""
    pool, prepared = FakePool(_never), trio.Event()
    agents = [make_agent(tmp_path, name) for name in ("one", "two")]

    async def prepare(agent: Agent) -> Agent:
        await prepared.wait()
        return agent

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(warm_ahead, pool, agents, prepare)
            while not pool.grounded:
                await trio.sleep(0)
            assert not pool.warmed
            prepared.set()
    assert pool.grounded == [(None, "")]
    assert len(pool.warmed) == 2
