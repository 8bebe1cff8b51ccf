"""How turns, commands and sandboxes end: wholly, at once, and without touching anybody else."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import Bind, GuestDiedError, GuestTimeoutError, PoolLimits, SandboxError, SandboxPool, wire
from tests.support.pools import (
    adopted_orphans,
    descendants,
    echo_request,
    living,
    named,
    output_of,
    run_pool,
    simple_confinement,
)

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


def marker() -> str:
    """Return a number of seconds to sleep that no other process uses."""
    return f"7{secrets.randbelow(10**8)}"


@BACKENDS
def test_lease_gives_a_fresh_process_for_every_turn(tmp_path: Path, backend: str) -> None:
    """One lease takes one turn; many follow one another, and at once, on one sandbox."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")

        async def turn(text: str) -> None:
            async with pool.lease(confinement, session=text) as lease:
                await lease.send(echo_request(text))
                assert await lease.receive() == wire.TurnDone(text)

        for number in range(3):
            await turn(f"in order {number}")
        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(turn, f"at once {number}")
        assert pool.statistics() == {"sandboxes": 1, "leases": 0, "processes": 0}

    run_pool(scenario, backend)


def test_a_second_request_on_one_turn_is_never_answered(tmp_path: Path) -> None:
    """A turn process takes exactly one turn."""

    async def scenario(pool: SandboxPool) -> None:
        async with pool.lease(simple_confinement(tmp_path / "a"), session="s") as lease:
            await lease.send(echo_request("one"))
            await lease.receive()
            with contextlib.suppress(GuestDiedError):
                await lease.send(echo_request("two"))
            with pytest.raises(GuestDiedError):
                await lease.receive()

    run_pool(scenario)


@BACKENDS
def test_everything_a_command_started_is_dead_when_it_ends(tmp_path: Path, backend: str) -> None:
    """A daemon (double fork, own session, signals ignored) ends with the command that started it."""
    mark = marker()

    async def scenario(pool: SandboxPool) -> None:
        script = f"(trap '' TERM HUP; setsid sh -c 'trap \"\" TERM; sleep {mark} & sleep {mark}' & ) ; sleep 0.1"
        await output_of(pool, simple_confinement(tmp_path / "a"), script)
        assert living(mark) == []

    run_pool(scenario, backend)


@BACKENDS
def test_cancelling_ends_the_tree_before_the_call_returns(tmp_path: Path, backend: str) -> None:
    """After a cancelled run_command nothing of it lives, at that very moment."""
    mark = marker()

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(output_of, pool, confinement, f"sleep {mark} & sleep {mark}")
            while len(living(mark)) < 2:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
        assert living(mark) == []
        assert pool.statistics()["leases"] == 0

    run_pool(scenario, backend)


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("kill -INT $$", 130), ("nosuchcommand", 127)],
)
def test_command_status_is_what_a_shell_shows(tmp_path: Path, script: str, status: int) -> None:
    """Exit codes pass through; a signal is 128 and its number."""

    async def scenario(pool: SandboxPool) -> None:
        await output_of(pool, simple_confinement(tmp_path / "a"), f"exec sh -c '{script}' 2>&1", status)

    run_pool(scenario)


def test_missing_program_and_directory_are_told_on_stderr(tmp_path: Path) -> None:
    """A command that can't start is 127 with one line, not a hanging call."""

    async def scenario(pool: SandboxPool) -> None:
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        status = await pool.run_command(simple_confinement(tmp_path / "a"), ["/no/such"], stdio=(null, null, write))
        assert (status, os.read(read, 100)) == (127, b"'/no/such': there is no such program or directory inside\n")
        for fd in (read, write, null):
            os.close(fd)

    run_pool(scenario)


def test_command_over_its_time_is_ended_and_said_so(tmp_path: Path) -> None:
    """A timeout kills the tree and raises."""
    mark = marker()

    async def scenario(pool: SandboxPool) -> None:
        null = os.open("/dev/null", os.O_RDWR)
        with pytest.raises(GuestTimeoutError, match=r"0\.2 s"):
            await pool.run_command(simple_confinement(tmp_path / "a"), ["sleep", mark], stdio=(null, null, null), timeout=0.2)
        os.close(null)
        assert living(mark) == []

    run_pool(scenario)


@BACKENDS
@pytest.mark.parametrize("which", ["bwrap", "cat"])
def test_sandbox_that_dies_fails_its_turns_and_comes_back(tmp_path: Path, backend: str, which: str) -> None:
    """SIGKILL of either process of one agent's holder touches that agent alone, and its next turn works."""

    async def scenario(pool: SandboxPool) -> None:
        one, two = simple_confinement(tmp_path / "one"), simple_confinement(tmp_path / "two")
        await pool.warm(two)
        before = descendants(os.getpid())
        await pool.warm(one)
        of_one = named(which) - before
        async with pool.lease(two, session="s") as other:
            async with pool.lease(one, session="s") as lease:
                os.kill(*of_one, signal.SIGKILL)
                with pytest.raises(GuestDiedError):
                    await lease.receive()
            await other.send(echo_request("still here"))
            assert await other.receive() == wire.TurnDone("still here")
        async with pool.lease(one, session="s") as lease:
            await lease.send(echo_request("again"))
            assert await lease.receive() == wire.TurnDone("again")

    run_pool(scenario, backend)


def test_changed_confinement_makes_a_new_sandbox_and_retires_the_old(tmp_path: Path) -> None:
    """A turn that runs keeps its sandbox; the next one gets the new; the old is gone after its last turn."""

    async def scenario(pool: SandboxPool) -> None:
        old = simple_confinement(tmp_path / "a", env=(("PATH", "/usr/bin:/bin"), ("V", "old")))
        new = simple_confinement(tmp_path / "a", env=(("PATH", "/usr/bin:/bin"), ("V", "new")))
        async with pool.lease(old, session="s") as lease:
            assert await output_of(pool, new, "echo $V") == "new\n"
            await lease.send(echo_request("old"))
            assert await lease.receive() == wire.TurnDone("old")
        assert pool.statistics()["sandboxes"] == 1

    run_pool(scenario)


@BACKENDS
def test_closing_the_pool_leaves_nothing_running(tmp_path: Path, backend: str) -> None:
    """No process of ours outlives the pool, whatever ran in it."""
    mark = marker()
    before = descendants(os.getpid())

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        async with pool.lease(confinement, session="s") as lease:
            await lease.processes.start(f"sleep {mark}", cwd=None, env={})
            while not living(mark):
                await anyio.sleep(0.01)

    run_pool(scenario, backend)
    assert living(mark) == []
    assert descendants(os.getpid()) <= before


def test_no_descriptor_leaks_over_many_turns(tmp_path: Path) -> None:
    """Fifty turns and commands leave as many open descriptors as five."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")

        async def some(count: int) -> int:
            for _ in range(count):
                async with pool.lease(confinement, session="s") as lease:
                    await lease.send(echo_request())
                    await lease.receive()
                await output_of(pool, confinement, "true")
            await anyio.wait_all_tasks_blocked()
            return len(os.listdir("/proc/self/fd"))

        first = await some(5)
        assert await some(50) <= first + 1

    run_pool(scenario)


def test_sandbox_that_can_not_start_says_why(tmp_path: Path) -> None:
    """A bind whose source is missing is one clear error with bwrap's own words, and the pool goes on."""

    async def scenario(pool: SandboxPool) -> None:
        broken = simple_confinement(tmp_path / "a", binds=(Bind(str(tmp_path / "missing"), "/data"),))
        with pytest.raises(SandboxError, match="missing"):
            await pool.warm(broken)
        assert await output_of(pool, simple_confinement(tmp_path / "b"), "echo on") == "on\n"

    run_pool(scenario)


def test_fork_bomb_stops_at_the_limit(tmp_path: Path) -> None:
    """More processes than the limit can't be had, as root too."""

    async def scenario(pool: SandboxPool) -> None:
        script = "(for i in $(seq 600); do sleep 5 & echo started; done) 2>&1"
        text = await output_of(pool, simple_confinement(tmp_path / "a"), script, status=None)
        assert 20 < text.count("started") < 400
        assert "fork" in text

    run_pool(scenario)


def test_more_turns_than_places_wait_for_one(tmp_path: Path) -> None:
    """The bound on running turns makes later ones wait; none fails."""
    running = most = 0

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")

        async def turn(number: int) -> None:
            nonlocal running, most
            async with pool.lease(confinement, session=str(number)) as lease:
                running += 1
                most = max(most, running)
                await lease.send(echo_request(str(number)))
                assert await lease.receive() == wire.TurnDone(str(number))
                running -= 1

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(turn, number)

    run_pool(scenario, limits=PoolLimits(turns=2))
    assert most == 2


def test_least_recently_used_idle_sandbox_makes_room(tmp_path: Path) -> None:
    """Beyond the bound of sandboxes the one that was idle for longest ends; one in use never does."""

    async def scenario(pool: SandboxPool) -> None:
        one, two, three = (simple_confinement(tmp_path / name) for name in ("one", "two", "three"))
        async with pool.lease(one, session="s") as lease:
            await pool.warm(two)
            await pool.warm(three)
            assert pool.statistics()["sandboxes"] == 2
            await lease.send(echo_request("one"))
            assert await lease.receive() == wire.TurnDone("one")

    run_pool(scenario, limits=PoolLimits(sandboxes=2))


KILLED = """
import sys
from pathlib import Path
import anyio
from hermes_iso_sandbox import Confinement, SandboxPool

async def main():
    async with SandboxPool() as pool:
        print("now", flush=True)
        await pool.warm(Confinement(home=Path(sys.argv[1]), cwd="/home/agent"))
        await anyio.sleep(60)

anyio.run(main, backend="trio")
"""


@pytest.mark.parametrize("delay", [0.0, 0.002, 0.005, 0.01, 0.02, 0.03, 0.06])
def test_gateway_killed_while_a_sandbox_starts_leaves_nothing(tmp_path: Path, delay: float) -> None:
    """Whenever SIGKILL hits the host side, what it had begun to start ends by itself."""
    with adopted_orphans() as orphans:
        argv = [sys.executable, "-c", KILLED, str(tmp_path)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={"PYTHONPATH": os.pathsep.join(sys.path)})
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        end = time.monotonic() + 10
        while orphans() and time.monotonic() < end:
            time.sleep(0.02)
        assert orphans() == set()


def test_turns_that_come_at_once_after_a_death_share_one_new_sandbox(tmp_path: Path) -> None:
    """However many notice that a sandbox is gone, one new one is made and nothing is left beside it."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        before = descendants(os.getpid())

        async def turn(number: int) -> None:
            async with pool.lease(confinement, session=str(number)) as lease:
                await lease.send(echo_request(str(number)))
                assert await lease.receive() == wire.TurnDone(str(number))

        for _ in range(3):
            await pool.warm(confinement)
            for pid in descendants(os.getpid()) - before:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with anyio.fail_after(20):
                while descendants(os.getpid()) - before:
                    await anyio.sleep(0.01)
            async with anyio.create_task_group() as tasks:
                for number in range(12):
                    tasks.start_soon(turn, number)
            assert pool.statistics()["sandboxes"] == 1
            assert len(named("cat") - before) == 1

    run_pool(scenario)
