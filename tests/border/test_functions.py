"""Functions and programs in a pool of their own: what comes back, what an error says, and that nothing is left."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from hermes_iso_sandbox import Confinement, GuestDiedError, GuestError, GuestTimeoutError, SandboxError, SandboxPool
from hermes_iso_sandbox.stream import Stream

pytestmark = pytest.mark.sandbox
BACKENDS = pytest.mark.parametrize("backend", ["trio", "asyncio"])


def with_pool(scenario: Any, home: Path, backend: str = "trio") -> None:
    """Run a scenario with a pool that is made as its users make it."""
    home.mkdir(exist_ok=True)

    async def main() -> None:
        async with SandboxPool(Confinement(home=home)) as pool:
            await scenario(pool)

    anyio.run(main, backend=backend)


def call_itself() -> None:
    """Never come to an end."""
    call_itself()


async def gather(stream: Stream, got: list[Any]) -> None:
    """Add what a stream yields to a list."""
    async for value in stream:
        got.append(value)  # noqa: PERF401  # what came before an error counts


def count_up(most: int) -> Iterator[int]:
    """Yield numbers."""
    yield from range(most)


@BACKENDS
def test_function_runs_by_value_in_a_process_of_its_own(tmp_path: Path, backend: str):
    """A closure takes what it closes over along, and what it does to its process is not seen by the next call."""
    base = 40

    def add(number: int, *, more: bytes) -> dict[str, Any]:
        os.environ["LEFT"] = "behind"
        Path("kept").write_bytes(more)
        return {"sum": base + number, "here": os.getcwd(), "more": more}

    async def scenario(pool: SandboxPool) -> None:
        assert await pool.run(add, 2, more=b"\0") == {"sum": 42, "here": "/home/agent", "more": b"\0"}
        assert await pool.run(lambda: [os.environ.get("LEFT"), os.listdir()]) == [None, ["kept"]]
        assert "LEFT" not in os.environ

    with_pool(scenario, tmp_path / "home", backend)
    assert (tmp_path / "home" / "kept").read_bytes() == b"\0"


def test_large_arguments_and_results_cross_in_pieces(tmp_path: Path):
    """What does not fit a frame arrives whole in both directions."""

    async def scenario(pool: SandboxPool) -> None:
        data = os.urandom(3 << 20)
        assert await pool.run(lambda given: given[::-1], data) == data[::-1]

    with_pool(scenario, tmp_path / "home")


def test_what_a_function_raises_comes_back_as_text(tmp_path: Path):
    """The error has the class's name, the text and the guest's traceback; sys.exit is an error like others."""

    def fail() -> None:
        raise KeyError("nothing here")

    async def scenario(pool: SandboxPool) -> None:
        with pytest.raises(GuestError) as caught:
            await pool.run(fail)
        assert (caught.value.kind, caught.value.text) == ("KeyError", "'nothing here'")
        assert "in fail" in caught.value.traceback
        for function, kind in (
            (lambda: sys.exit(3), "SystemExit"),
            (object, "NotDataError"),
            (lambda: __import__("no_such_module"), "ModuleNotFoundError"),
            (call_itself, "RecursionError"),
        ):
            with pytest.raises(GuestError) as caught:
                await pool.run(function)
            assert caught.value.kind == kind

    with_pool(scenario, tmp_path / "home")


def test_dead_guest_is_told_with_its_status_and_last_words(tmp_path: Path):
    """A process that ends without an answer is an error with its exit status and the end of its stderr."""

    def shout() -> None:
        sys.stderr.write("x" * 200_000 + "the last words")
        sys.stderr.flush()
        os._exit(7)

    async def scenario(pool: SandboxPool) -> None:
        with pytest.raises(GuestDiedError) as caught:
            await pool.run(shout)
        assert caught.value.status == 7
        assert caught.value.stderr.endswith("xthe last words")
        assert len(caught.value.stderr) < 10_000
        with pytest.raises(GuestDiedError) as caught:
            await pool.run(lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert caught.value.status == 137
        assert await pool.run(lambda: "alive") == "alive"

    with_pool(scenario, tmp_path / "home")


@BACKENDS
def test_time_limit_and_cancelling_end_all_that_was_started(tmp_path: Path, backend: str):
    """After a timeout or a cancellation nothing of the call lives: a file that it touches all the time is left alone."""

    def touch() -> None:
        threading.Thread(target=time.sleep, args=(60,)).start()
        while True:
            with open("touched", "a") as file:
                file.write("x")

    home = tmp_path / "home"

    async def scenario(pool: SandboxPool) -> None:
        await pool.run(len, "")
        with pytest.raises(GuestTimeoutError, match="longer than 1 s"):
            await pool.run(touch, timeout=1)
        before = (home / "touched").stat().st_size
        with anyio.move_on_after(1):
            await pool.run(touch)
        after = (home / "touched").stat().st_size
        assert after > before
        await anyio.sleep(0.05)
        assert (home / "touched").stat().st_size == after

    with_pool(scenario, home, backend)


@BACKENDS
def test_generator_is_a_stream(tmp_path: Path, backend: str):
    """Values come one by one, an endless generator ends when nobody wants more, and what it raises comes after its values."""

    def fail_late() -> Iterator[int]:
        yield 1
        raise ValueError("late")

    async def scenario(pool: SandboxPool) -> None:
        assert [value async for value in pool.stream(count_up, 5)] == [0, 1, 2, 3, 4]
        async with pool.stream(count_up, 10**12) as stream:
            async for value in stream:
                if value == 100:
                    break
        got: list[Any] = []
        with pytest.raises(GuestError, match="late"):
            await gather(pool.stream(fail_late), got)
        assert got == [1]
        with pytest.raises(GuestTimeoutError):
            await gather(pool.stream(lambda: iter(lambda: time.sleep(60), 1), timeout=0.3), got)
        assert pool.statistics()["leases"] == 0

    with_pool(scenario, tmp_path / "home", backend)


@BACKENDS
def test_program_runs_with_its_streams(tmp_path: Path, backend: str):
    """A program reads and writes through pipes, its status comes back, and leaving ends one that goes on for ever."""

    async def scenario(pool: SandboxPool) -> None:
        script = "read line; echo got $line; echo no >&2; exit 3"
        async with await pool.exec(["sh", "-c", script]) as running:
            await running.stdin.send(b"this\n")
            assert b"".join([piece async for piece in running.stdout]) == b"got this\n"
            assert await running.stderr.receive() == b"no\n"
            assert await running.wait() == 3
        async with await pool.exec(["yes"]) as running:
            assert (await running.stdout.receive()).startswith(b"y\n")
        async with await pool.exec(["sleep", "60"], timeout=0.2) as running:
            with pytest.raises(GuestTimeoutError):
                await running.wait()

    with_pool(scenario, tmp_path / "home", backend)


def test_what_cannot_be_sent_is_refused_before_anything_runs(tmp_path: Path):
    """Locks, generators and huge arguments are one sentence of the host."""

    async def scenario(pool: SandboxPool) -> None:
        for argument in (threading.Lock(), count_up(3), sys.stdout):
            with pytest.raises(SandboxError, match="can't be sent by value"):
                await pool.run(lambda given: given, argument)
        with pytest.raises(SandboxError, match="are the limit"):
            await pool.run(len, bytes(33 << 20))

    with_pool(scenario, tmp_path / "home")


def test_pool_without_a_confinement_says_what_is_missing():
    """A pool that only leases can't run functions."""

    async def main() -> None:
        async with SandboxPool() as pool:
            with pytest.raises(SandboxError, match="no confinement of its own"):
                await pool.run(len, "")

    anyio.run(main, backend="trio")
    with pytest.raises(SandboxError, match="async with"):
        anyio.run(SandboxPool(Confinement(home=Path("nowhere"))).run, len)


def test_many_calls_leave_nothing_behind(tmp_path: Path):
    """Calls one after the other and many at once leave no descriptor and no process."""

    async def scenario(pool: SandboxPool) -> None:
        await pool.run(len, "")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(60):
            await pool.run(len, "")

        async def one(number: int) -> None:
            assert await pool.run(lambda: number) == number

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(one, number)
        with anyio.fail_after(10):
            while len(os.listdir("/proc/self/fd")) > before + 4 or pool.statistics()["leases"]:
                await anyio.sleep(0.02)

    with_pool(scenario, tmp_path / "home")
