"""Background processes: they outlive their turn, belong to their session, and end with their time."""

from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import PoolLimits, SandboxError, SandboxPool
from hermes_iso_sandbox.processes import MAX_LIVE, OUTPUT_BYTES, Process
from tests.support.pools import run_pool, simple_confinement

BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])
SERVER = "touch /tmp/mark; echo up; exec python3 -m http.server 8765 --bind 127.0.0.1 2>&1"


async def run(pool: SandboxPool, home: Path, session: str, command: str) -> bytes:
    """Run a command beside a turn of a session and return its output."""
    async with pool.lease(simple_confinement(home), session=session) as lease:
        process = await lease.processes.start(command, cwd=None, env={})
        await process.wait()
        return process.output


async def output_with(process: Process, word: bytes) -> bytes:
    """Wait until a process has written `word`."""
    with anyio.fail_after(20):
        while word not in process.output:
            await anyio.sleep(0.02)
    return process.output


@BACKENDS
def test_server_answers_the_sessions_next_turn_and_nobody_else(tmp_path: Path, backend: str) -> None:
    """Network and /tmp are the session's while a background process lives; other sessions and agents see neither."""
    look = "ls /tmp; curl -s --retry-connrefused --retry 20 --retry-delay 1 127.0.0.1:8765/ | grep -c Directory"
    look_once = "ls /tmp; curl -s 127.0.0.1:8765/ | grep -c Directory"

    async def scenario(pool: SandboxPool) -> None:
        home = tmp_path / "a"
        async with pool.lease(simple_confinement(home), session="s") as lease:
            server = await lease.processes.start(SERVER, cwd=None, env={})
        await output_with(server, b"up")
        assert (await run(pool, home, "s", look)).split()[0] == b"mark"
        assert (await run(pool, home, "s", look)).split()[-1] != b"0"
        assert await run(pool, home, "other", look_once) == b"0\n"
        assert await run(pool, tmp_path / "b", "s", look_once) == b"0\n"
        await server.kill()
        assert server.exit_status == 137
        assert await run(pool, home, "s", look_once) == b"0\n"

    run_pool(scenario, backend)


@BACKENDS
def test_output_input_and_status_are_kept(tmp_path: Path, backend: str) -> None:
    """What it writes can be read later, what is written to it arrives, and its exit status is known."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        async with pool.lease(confinement, session="s") as lease:
            process = await lease.processes.start(
                'echo $WORD; read line; echo "got $line" >&2; exit 3', cwd="/tmp", env={"WORD": "w"}
            )
        await process.write(b"text\n")
        await process.wait()
        assert (process.output, process.exit_status, process.cwd) == (b"w\ngot text\n", 3, "/tmp")
        async with pool.lease(confinement, session="s") as lease:
            assert [each.id for each in lease.processes.list()] == [process.id]
            assert lease.processes.get(process.id) is process
        async with pool.lease(confinement, session="other") as lease:
            assert lease.processes.list() == []
            with pytest.raises(KeyError):
                lease.processes.get(process.id)

    run_pool(scenario, backend)


def test_endless_output_is_kept_bounded(tmp_path: Path) -> None:
    """A process that never stops writing holds no more of the gateway's memory than the bound."""

    async def scenario(pool: SandboxPool) -> None:
        async with pool.lease(simple_confinement(tmp_path / "a"), session="s") as lease:
            process = await lease.processes.start("yes", cwd=None, env={})
            with anyio.fail_after(20):
                while process.total_output < 3 * OUTPUT_BYTES:
                    await anyio.sleep(0.01)
            assert len(process.output) <= OUTPUT_BYTES
            await process.kill()

    run_pool(scenario)


def test_process_ends_at_its_deadline(tmp_path: Path) -> None:
    """background_timeout ends what is forgotten."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", background_timeout=0.2)
        async with pool.lease(confinement, session="s") as lease:
            process = await lease.processes.start("echo on; sleep 600", cwd=None, env={})
        with anyio.fail_after(20):
            await process.wait()
        assert process.exit_status == 137

    run_pool(scenario)


def test_session_has_a_bounded_number_of_them(tmp_path: Path) -> None:
    """One more than the bound is a clear error, and ending one makes room."""

    async def scenario(pool: SandboxPool) -> None:
        async with pool.lease(simple_confinement(tmp_path / "a"), session="s") as lease:
            started = [await lease.processes.start("sleep 600", cwd=None, env={}) for _ in range(MAX_LIVE)]
            with pytest.raises(SandboxError, match="end one first"):
                await lease.processes.start("sleep 600", cwd=None, env={})
            await started[0].kill()
            await lease.processes.start("sleep 600", cwd=None, env={})

    run_pool(scenario)


def test_writing_to_a_process_that_ended_is_an_error(tmp_path: Path) -> None:
    """Input for nobody is refused, not swallowed."""

    async def scenario(pool: SandboxPool) -> None:
        async with pool.lease(simple_confinement(tmp_path / "a"), session="s") as lease:
            process = await lease.processes.start("true", cwd=None, env={})
            await process.wait()
            with pytest.raises(SandboxError, match="does not read"):
                await process.write(b"x")

    run_pool(scenario)


def test_ended_processes_of_many_sessions_are_forgotten_and_living_ones_kept(tmp_path: Path) -> None:
    """The output that the gateway keeps is bounded over sessions, and no session that still needs its own loses it."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        async with pool.lease(confinement, session="living") as lease:
            living = await lease.processes.start("sleep 600", cwd=None, env={})
        for number in range(4):
            await run(pool, tmp_path / "a", f"s{number}", "echo x")
        async with pool.lease(confinement, session="living") as lease:
            assert [each.id for each in lease.processes.list()] == [living.id]
        async with pool.lease(confinement, session="s0") as lease:
            assert lease.processes.list() == []
        async with pool.lease(confinement, session="s3") as lease:
            assert len(lease.processes.list()) == 1

    run_pool(scenario, limits=PoolLimits(sessions=3))
