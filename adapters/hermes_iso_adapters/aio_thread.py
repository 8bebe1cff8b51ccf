"""AioThread: the only bridge between trio and a library of asyncio's: a real event loop in a thread, called from trio.

Cancelling a call cancels its task over there and waits for its end; what a task raises comes back; a task that was cancelled
over there is an error here, never a cancellation. What happens over there by itself comes through a mailbox of a bounded size:
`put` says whether there was room, so that whoever was refused knows what it has to fetch again, and nothing is lost unseen.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

import outcome
import trio

END_SECONDS = 10.0
"""Seconds that a task has to end once it was cancelled; one that does not is left behind."""
Result = TypeVar("Result")
Item = TypeVar("Item")


class AioError(Exception):
    """The asyncio side did not do what was asked: it ended, or cancelled the task by itself."""


class Mailbox(Generic[Item]):
    """What asyncio hands to trio, in order, at most `size` of it at a time. One trio task takes."""

    def __init__(self, token: trio.lowlevel.TrioToken, size: int) -> None:
        self._token = token
        self._size = size
        self._items: deque[Item] = deque()
        self._lock = threading.Lock()
        self._news = trio.Event()
        self.refused = 0

    def put(self, item: Item) -> bool:
        """Hand over, from asyncio. False when there is no room: then it was not taken, and is counted."""
        with self._lock:
            if len(self._items) >= self._size:
                self.refused += 1
                return False
            self._items.append(item)
        self.poke()
        return True

    def poke(self) -> None:
        """Wake who takes, from asyncio, though there may be nothing."""
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._wake, idempotent=True)

    def _wake(self) -> None:
        self._news.set()

    async def take(self) -> Item | None:
        """Wait, in trio, for the next item; None when somebody poked and there is none."""
        if not self._items:
            await self._news.wait()
            self._news = trio.Event()
        else:
            await trio.lowlevel.checkpoint()
        with self._lock:
            return self._items.popleft() if self._items else None


class AioThread:
    """A running event loop of asyncio's; see `open_aio_thread`."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._ready = trio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def mailbox(self, size: int) -> Mailbox[Any]:
        """Return a mailbox from there to here."""
        return Mailbox(self._token, size)

    async def call(self, work: Callable[..., Awaitable[Result]], *args: Any) -> Result:
        """Await `work(*args)` over there and return what it returns, or raise what it raises.

        It sees the context variables of the calling task. Raises AioError when it was cancelled over there.
        """
        loop = self._loop
        if loop is None:
            raise AioError("The asyncio thread has ended.")
        done = trio.Event()
        results: list[outcome.Outcome[Result]] = []
        tasks: list[asyncio.Task[Result]] = []

        def finish(task: asyncio.Task[Result]) -> None:
            results.append(_result(task))
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(done.set)

        def start() -> None:
            task = asyncio.get_running_loop().create_task(_awaited(work, args), context=context)
            tasks.append(task)
            task.add_done_callback(finish)

        def cancel() -> None:
            tasks[0].cancel()

        context = contextvars.copy_context()
        loop.call_soon_threadsafe(start)
        try:
            await done.wait()
        except trio.Cancelled:
            with suppress(RuntimeError):  # the loop has ended, and all of its tasks
                loop.call_soon_threadsafe(cancel)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + END_SECONDS):
                await done.wait()
            raise
        return results[0].unwrap()

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the loop in a thread until `stop`."""
        own = trio.CapacityLimiter(1)  # it stays in its thread, and must not keep one from others
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, self._run, limiter=own))
            await self._ready.wait()
            task_status.started()

    def stop(self) -> None:
        """End the loop, and with it every task over there."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._loop = None

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._token.run_sync_soon(self._ready.set)
        await self._stop.wait()


@asynccontextmanager
async def open_aio_thread() -> AsyncIterator[AioThread]:
    """Run an event loop of asyncio's in a thread while the body runs; then end its tasks and wait for the thread."""
    thread = AioThread()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        with trio.CancelScope(shield=True):
            await nursery.start(_shielded, thread)
        try:
            yield thread
        except Exception as error:  # noqa: BLE001  # passed on below, as it is and not in a group
            failure = error
        finally:
            thread.stop()
    if failure is not None:
        raise failure


async def _shielded(thread: AioThread, *, task_status: trio.TaskStatus[None]) -> None:
    """Serve a thread; its end is brought about by `stop` alone, so that a cancellation does not leave it behind."""
    with trio.CancelScope(shield=True):
        await thread.serve(task_status=task_status)


async def _awaited(work: Callable[..., Awaitable[Result]], args: tuple[Any, ...]) -> Result:
    return await work(*args)


def _result(task: asyncio.Task[Result]) -> outcome.Outcome[Result]:
    """Return what became of a task. asyncio's own cancellation must not travel into trio."""
    if task.cancelled():
        return outcome.Error(AioError("The task was cancelled by asyncio."))
    error = task.exception()
    return outcome.Error(error) if error is not None else outcome.Value(task.result())
