"""An agent's limits, reached in real sandboxes: memory, processes, CPU share, bytes and inodes of its directories."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from hermes_iso_sandbox import LimitError, Limits, SandboxPool, wire
from hermes_iso_sandbox.cgroups import PREFIX, find
from hermes_iso_sandbox.counting import count
from hermes_iso_sandbox.zygote import Zygote
from tests.support.pools import echo_request, output_of, run_pool, simple_confinement

MEMORY = pytest.mark.skipif("memory" in find().missing, reason=f"memory: {find().missing.get('memory')}")
CPU = pytest.mark.skipif("cpu" in find().missing, reason=f"cpu: {find().missing.get('cpu')}")
SANDBOX = str(Path(__file__).parents[2] / "sandbox")
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
        assert 0 < sum(map(float, said.split())) < 0.25 * 2 + 0.7

    run_pool(scenario)


@pytest.mark.parametrize(
    ("limits", "command", "name"),
    [
        (Limits(disk=8 << 20), "dd if=/dev/zero of=big bs=64k 2>&1; sleep 60", "disk"),
        (Limits(disk=8 << 20), "mkdir d; for i in 1 2 3; do head -c 4M /dev/zero > d/$i; done; chmod 0 d; sleep 60", "disk"),
        (Limits(disk=8 << 20), 'for i in 5 6 7; do eval "exec $i> x"; rm x; head -c 4M /dev/zero >&$i; done; sleep 60', "disk"),
        (Limits(inodes=200), "for i in $(seq 400); do : > f$i; done; sleep 60", "inodes"),
        # the files beyond the depth are more than a sixteenth of the limit, so that a count follows whenever the first one came
        (
            Limits(inodes=3000),
            "for i in $(seq 300); do mkdir d; cd d; done; for i in $(seq 400); do : > f$i; done; sleep 60",
            "inodes",
        ),
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
        assert seconds < 20
        if "rm x" not in command:
            with pytest.raises(LimitError, match=r"No turn was begun: .*hermes-iso exec --agent agent"):
                async with pool.lease(confinement, session="t"):
                    pass
            await output_of(pool, confinement, "chmod -R u+rwX . ; rm -rf ./*")
        async with pool.lease(confinement, session="t"):
            pass
        assert pool.statistics()["processes"] == 0

    run_pool(scenario)


def test_background_process_is_watched_after_its_turn(tmp_path: Path) -> None:
    """What a process writes when no turn runs any more counts all the same, and ends it."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", limits=Limits(disk=8 << 20))
        async with turn_with(
            pool, confinement, "until [ -e go ]; do sleep 0.05; done; dd if=/dev/zero of=big; sleep 60"
        ) as made:
            process = made[1]
        (tmp_path / "a" / "go").touch()
        with anyio.fail_after(30):
            await process.wait()
        assert process.exit_status == 137

    run_pool(scenario)


def test_counting_a_hostile_tree_ends_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    """Directories that become symlinks and move while they are counted lead nowhere and break nothing."""
    source = (
        "import os, sys\n"
        "for n in range(50): os.makedirs(f't/{n}/x', exist_ok=True)\n"
        "print('made', flush=True)\n"
        "while True:\n"
        " for n in range(50):\n"
        "  os.rename(f't/{n}', 't/away'); os.symlink('/usr', f't/{n}'); os.unlink(f't/{n}'); os.rename('t/away', f't/{n}')\n"
    )

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a", limits=Limits(inodes=400))
        async with turn_with(pool, confinement, python_command(tmp_path / "a", source)) as (lease, process):
            while b"made" not in process.output:
                await anyio.sleep(0.01)
            for _ in range(20):
                counted = await count(living_zygote(pool))
                assert counted is not None
                assert (counted.end, counted.inodes < 200) == ("all", True)
            await lease.send(echo_request("fine"))
            assert await lease.receive() == wire.TurnDone("fine")
            assert process.exit_status is None
            await process.kill()

    run_pool(scenario)


def living_zygote(pool: SandboxPool) -> Zygote:
    """Return the zygote of the pool's one sandbox."""
    (sandbox,) = pool._sandboxes.values()
    return sandbox.zygote


def test_turn_steps_behind_the_gateway_and_sees_no_cgroup_of_the_host(tmp_path: Path) -> None:
    """Lower priority, first to die when memory runs out, and no name of the host's groups."""

    async def scenario(pool: SandboxPool) -> None:
        confinement = simple_confinement(tmp_path / "a")
        said = await output_of(pool, confinement, "nice; cat /proc/self/oom_score_adj; cat /proc/self/cgroup")
        nice, score, *groups = said.split("\n")
        assert (int(nice), score) == (os.nice(0) + 5, "500")
        assert [group for group in groups if group and not group.endswith(":/")] == []

    run_pool(scenario)


def own_groups() -> set[Path]:
    """Return the directories of gateways that lie where this process would make its own."""
    return {path for place in find().places for path in place.base.glob(f"{PREFIX}*")}


@MEMORY
def test_pool_leaves_no_cgroup_and_sweeps_those_of_a_killed_one(tmp_path: Path) -> None:
    """An orderly end removes everything; what a killed gateway left, the next one removes, and nothing of a living one."""
    script = (
        "import anyio, sys\nfrom pathlib import Path\nfrom hermes_iso_sandbox import Confinement, SandboxPool\n"
        "async def main():\n async with SandboxPool() as pool:\n"
        "  await pool.warm(Confinement(Path(sys.argv[1])))\n  print('up', flush=True)\n  await anyio.sleep(60)\n"
        "anyio.run(main, backend='trio')\n"
    )
    (tmp_path / "b").mkdir()

    async def scenario(pool: SandboxPool) -> None:
        before = own_groups()
        argv = [sys.executable, "-c", script, str(tmp_path / "b")]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": SANDBOX}) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "up\n"
            made = own_groups() - before
            assert any((path / "1").is_dir() for path in made)
            async with SandboxPool():
                assert made <= own_groups()
            other.kill()
        with anyio.fail_after(20):
            while made & own_groups():
                async with SandboxPool():  # the kernel may still be ending what was in them
                    await anyio.sleep(0.05)
        await output_of(pool, simple_confinement(tmp_path / "a"), "true")
        assert pool._tree is not None
        own.update(pool._tree._guard._cgroups._tops)  # those of other gateways on this machine come and go

    own: set[Path] = set()
    run_pool(scenario)
    assert own
    assert not any(path.exists() for path in own)
