"""Generations: what counts as a change, what waits for a restart, and who still uses an older one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest
import trio
import trio.testing

from hermes_iso.config.schema import ApiKey, ApiSettings, RouteRule
from hermes_iso.errors import UsageError
from hermes_iso.generation import Generation, Generations, change_between, fitted
from hermes_iso.hooks.hook import Hook
from hermes_iso_sandbox.confinement import Bind, Confinement, DataFile, Limits
from tests.support.line import make_agent, make_config


def test_change_names_agents_and_counts_routes(tmp_path: Path) -> None:
    """Added, changed and removed agents by name; a route that only moved to another line is the same route."""
    old = make_config(
        tmp_path, routes=(RouteRule("main", chat_id="1", where="F:1"), RouteRule("main", chat_id="2", where="F:2"))
    )
    agents = {"main": make_agent(tmp_path, persona="Another."), "new": make_agent(tmp_path, "new")}
    routes = (RouteRule("main", chat_id="1", where="F:9"), RouteRule("new", chat_id="2", where="F:2"))
    change = change_between(old, Generation.of(replace(old, agents=agents, routes=routes), 2), ())
    assert (change.added, change.changed, change.removed) == (("new",), ("main",), ("coder",))
    assert (change.routes_added, change.routes_removed) == (1, 1)
    same = change_between(old, Generation.of(make_config(tmp_path, routes=old.routes), 2), ())
    assert same.as_json() == {
        "generation": 2,
        "agents": {"added": [], "changed": [], "removed": []},
        "routes": {"added": 0, "removed": 0},
        "needs_restart": [],
        "not_served": {},
        "warnings": [],
    }


def test_address_of_the_api_waits_for_a_restart(tmp_path: Path) -> None:
    """Keys and names count at once; host and port stay what is bound, and each is named."""
    old = replace(make_config(tmp_path), api=ApiSettings("127.0.0.1", 1, (ApiKey("a", "x"),)))
    wanted = replace(old, api=ApiSettings("0.0.0.0", 2, (ApiKey("b", "y"),), hosts=frozenset({"h"})))
    config, restart = fitted(old, wanted)
    assert config.api == ApiSettings("127.0.0.1", 1, (ApiKey("b", "y"),), hosts=frozenset({"h"}))
    assert restart == (
        "platforms.api_server.extra.host: 127.0.0.1 until a restart, then 0.0.0.0",
        "platforms.api_server.extra.port: 1 until a restart, then 2",
    )


def test_hooks_wait_for_a_restart(tmp_path: Path) -> None:
    """The process that runs them has loaded those of the start."""
    old = make_config(tmp_path)
    config, restart = fitted(old, replace(old, hooks=(Hook("new", frozenset({"select_agent"}), "new"),), hook_timeout=1.0))
    assert (config.hooks, config.hook_timeout) == ((), 2.0)
    assert restart == ("hooks: those of the start are called until a restart",)


def test_host_uids_wait_for_a_restart(tmp_path: Path) -> None:
    """The pool that runs has its range, and no agent gets a uid of another."""
    old = make_config(tmp_path)
    config, restart = fitted(old, replace(old, host_uids=range(3_000_000, 3_131_072)))
    assert config.host_uids == old.host_uids
    assert restart == ("gateway.host_uids: 2000000-2131071 until a restart, then 3000000-3131071",)


def test_api_that_is_switched_off_opens_to_nobody(tmp_path: Path) -> None:
    """It listens until the restart, but no key is one of its keys any more; one that is switched on waits."""
    on = make_config(tmp_path)
    off = replace(on, api=None)
    config, restart = fitted(on, off)
    assert config.api is not None
    assert config.api.keys == ()
    assert len(restart) == 1
    config, restart = fitted(off, on)
    assert config.api is None
    assert len(restart) == 1
    assert fitted(off, off) == (off, ())


def test_home_that_moved_is_refused(tmp_path: Path) -> None:
    """The lock and the databases are the old home's."""
    config = make_config(tmp_path)
    with pytest.raises(UsageError, match="restart it"):
        fitted(config, replace(config, home=tmp_path / "other"))


@pytest.mark.parametrize("kind", [Confinement, Limits, Bind, DataFile])
def test_every_field_of_a_confinement_tells_two_apart(kind: type) -> None:
    """A sandbox is used again only for an equal confinement, so no part of one may be left out of the comparison."""
    assert [field.name for field in fields(kind) if not field.compare] == []


async def test_older_generation_is_waited_for_until_its_last_user_is_gone(tmp_path: Path) -> None:
    """Users of the current one do not count; everybody of an older one does, however often they changed since."""
    config = make_config(tmp_path)
    generations = Generations(config)
    done = trio.Event()

    async def wait() -> None:
        await generations.wait_none_before(3)
        done.set()

    async with trio.open_nursery() as nursery:
        with generations.hold() as first:
            assert first.number == 1
            generations.current = Generation.of(config, 2)
            with generations.hold() as second:
                assert second.number == 2
                generations.current = Generation.of(config, 3)
                nursery.start_soon(wait)
                with generations.hold():
                    await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            assert not done.is_set()
        with generations.hold(), trio.fail_after(1):
            await done.wait()
