"""An agent's limits, reached in real sandboxes: memory, processes, CPU share, bytes and inodes of its directories."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import LimitError, Limits, SandboxPool
from hermes_iso_sandbox.cgroups import find
from tests.support.pools import output_of, run_pool, simple_confinement

MEMORY = pytest.mark.skipif("memory" in find().missing, reason=f"memory: {find().missing.get('memory')}")
CPU = pytest.mark.skipif("cpu" in find().missing, reason=f"cpu: {find().missing.get('cpu')}")
HOG = (
    "import sys, time; kept = bytearray({size} << 20); kept[::4096] = b'x' * len(kept[::4096]); print('got it'); time.sleep(60)"
)


@contextlib.asynccontextmanager
async def turn_with(pool: SandboxPool, confinement, command: str):
    """Lease a turn, and let a background process of its session run `command` beside it."""
    async with pool.lease(confinement, session="s") as lease:
        process = await lease.processes.start(command, cwd=None, env={})
        yield lease, process


async def stopped_by(pool: SandboxPool, confinement, command: str) -> tuple[LimitError, float]:
    """Return the error that ends a turn beside which `command` runs, and after how many seconds."""
    began = time.monotonic()
    with anyio.move_on_after(30):
        try:
            async with turn_with(pool, confinement, command) as (lease, _):
                await lease.receive()
        except LimitError as error:
            return error, time.monotonic() - began
    raise AssertionError("no limit ended the turn")


def python_command(home: Path, source: str, *, count: int = 1) -> str:
    """Return a shell command that runs Python source `count` times at once, in the background of one shell."""
    (home / "hog.py").write_text(source, encoding="utf-8")
    return (
        f"P=$(ls /opt/python/bin/python3.* 2>/dev/null | grep -v config | head -n 1); P=${{P:-python3}}; "
        f"for i in $(seq {count}); do $P -I /home/agent/hog.py & done; wait"
    )


@MEMORY
def test_memory_over_many_processes_ends_the_turn_with_a_sentence(tmp_path: Path) -> None:
    """Eight processes, each far below the limit, are over it together: the kernel bounds them and the turn says why."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", limits=Limits(memory=96 << 20))
        command = python_command(tmp_path / "a", HOG.format(size=20), count=8)
        error, _ = await stopped_by(pool, confinement, command)
        assert (error.limit, "96M" in str(error)) == ("memory", True)
        assert await output_of(pool, confinement, "echo alive") == "alive\n"

    run_pool(scenario)


def test_limits_leave_a_turn_below_them_alone(tmp_path: Path) -> None:
    """The same processes within the limits run to their end."""

    async def scenario(pool: SandboxPool) -> None:
        limits = Limits(memory=400 << 20, disk=20 << 20, inodes=300)
        confinement = simple_confinement(tmp_path / "a", limits=limits)
        hogs = python_command(tmp_path / "a", HOG.format(size=20).replace("time.sleep(60)", "time.sleep(0.6)"), count=8)
        command = f"for i in $(seq 100); do echo x > f$i; done; head -c 10M /dev/zero > big; {hogs}"
        async with turn_with(pool, confinement, command) as (_, process):
            await process.wait()
            assert (process.exit_status, process.output.count(b"got it")) == (0, 8)

    run_pool(scenario)


def test_pids_bound_the_whole_sandbox(tmp_path: Path) -> None:
    """All processes of a sandbox count together, over its turns and background processes, without any cgroup."""
    source = (
        "import os, time\nn = 0\nwhile True:\n try:\n  if os.fork() == 0: time.sleep(60)\n except OSError: break\n n += 1\n"
    )
    bomb = source + "print('forked', n, flush=True)\ntime.sleep(60)\n"

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", limits=Limits(processes=40))
        async with turn_with(pool, confinement, python_command(tmp_path / "a", bomb)) as (_, process):
            while b"forked" not in process.output:
                await anyio.sleep(0.01)
            assert int(process.output.split()[-1]) < 40
            said = await output_of(pool, confinement, "for i in $(seq 40); do sleep 1 & done 2>&1; wait", None)
            assert "fork" in said or not said
            await process.kill()
        assert await output_of(pool, confinement, "echo alive") == "alive\n"

    run_pool(scenario)


@CPU
def test_cpu_is_shared_out_over_all_processes(tmp_path: Path) -> None:
    """Four busy processes together get no more than the agent's share of a core."""
    source = "import time\nend = time.monotonic() + 2\nwhile time.monotonic() < end: pass\nprint(time.process_time())\n"

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", limits=Limits(cpu=0.25))
        said = await output_of(pool, confinement, python_command(tmp_path / "a", source, count=4))
        assert 0 < sum(map(float, said.split())) < 0.25 * 2 + 0.4

    run_pool(scenario)


@pytest.mark.parametrize(
    ("limits", "command", "name"),
    [
        (Limits(disk=8 << 20), "dd if=/dev/zero of=big bs=64k 2>&1; sleep 60", "disk"),
        (Limits(disk=8 << 20), "mkdir d; for i in 1 2 3; do head -c 4M /dev/zero > d/$i; done; chmod 0 d; sleep 60", "disk"),
        (Limits(disk=8 << 20), 'for i in 5 6 7; do eval "exec $i> x"; rm x; head -c 4M /dev/zero >&$i; done; sleep 60', "disk"),
        (Limits(inodes=200), "for i in $(seq 400); do : > f$i; done; sleep 60", "inodes"),
        (Limits(inodes=3000), "for i in $(seq 300); do mkdir d; cd d; done; sleep 60", "inodes"),
    ],
    ids=["bytes", "hidden", "unlinked", "inodes", "deep"],
)
def test_directories_over_a_limit_end_the_turn_and_keep_the_next_one_out(
    tmp_path: Path, limits: Limits, command: str, name: str
) -> None:
    """What fills the directories is stopped at once; the sentence says how to make room, and room makes turns possible."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", limits=limits)
        error, seconds = await stopped_by(pool, confinement, command)
        assert (error.limit, str(error).startswith("The turn was stopped: ")) == (name, True)
        assert seconds < 5
        if "rm x" not in command:
            with pytest.raises(LimitError, match=r"No turn was begun: .*hermes-iso exec --agent agent"):
                async with pool.lease(confinement, session="t"):
                    pass
            await output_of(pool, confinement, "chmod -R u+rwX . ; rm -rf ./*")
        async with pool.lease(confinement, session="t"):
            pass
        assert pool.statistics()["processes"] == 0

    run_pool(scenario)
