"""SandboxPool: a pool that also runs functions by value and programs, each in a fresh process of the pool's own confinement."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
from anyio.streams.memory import MemoryObjectSendStream

from hermes_iso_sandbox.call_wire import FunctionCall
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError
from hermes_iso_sandbox.functions import pack, timed, values_of
from hermes_iso_sandbox.pool import LeasingPool
from hermes_iso_sandbox.running import Running, open_pipes
from hermes_iso_sandbox.stream import Stream

CALLS = "calls"
"""The session of all functions: none of them starts background processes, so they share nothing."""
Sends: TypeAlias = MemoryObjectSendStream[Any]


class SandboxPool(LeasingPool):
    """Functions and programs: `async with SandboxPool(Confinement(home=PATH)) as pool: await pool.run(function)`."""

    def __init__(self, confinement: Confinement | None = None, **settings: Any) -> None:
        """confinement: of functions and programs; a pool that only leases needs none. settings: those of LeasingPool."""
        super().__init__(**settings)
        self._own = confinement and replace(confinement, keep_stderr=True)

    async def run(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a function by value in a fresh process of the pool's own confinement, and return what it returns, as data.

        Data is None, bool, int, float, str, bytes, lists and mappings of these; tuples and dataclasses come back as lists and
        mappings. Of a generator the last value is None: see `stream`. On leaving, everything that it started is dead.
        Raises GuestError for what it raises, GuestTimeoutError after `timeout` seconds, GuestDiedError, LimitError,
        SandboxError for what can't be sent.
        """
        call = pack(function, args, kwargs)
        with timed(timeout, "The function"):
            async with self._called(call) as values:
                async for ended, value in values:
                    if ended:
                        return value
        raise AssertionError("a call ends with a value or an error")

    def stream(self, function: Callable[..., Any], /, *args: Any, timeout: float | None = None, **kwargs: Any) -> Stream:
        """Call a generator function as `run` does; return what it yields as an asynchronous iterator, which raises as `run`."""
        call = pack(function, args, kwargs)
        send, receive = anyio.create_memory_object_stream[Any](0)
        stream = Stream(receive)
        self.start(self._feed, stream, send, call, timeout)
        return stream

    async def exec(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout: float | None = None) -> Running:
        """Start a program in the pool's own confinement, with pipes for its streams. Use what it returns in `async with`."""
        ours, theirs = open_pipes()
        running = Running(ours)
        self.start(self._run, running, argv, theirs, env or {}, timeout)
        await anyio.lowlevel.checkpoint()
        return running

    @contextlib.asynccontextmanager
    async def _called(self, call: Sequence[FunctionCall]) -> AsyncIterator[AsyncIterator[tuple[bool, Any]]]:
        """Lease a process of the pool's own confinement and make a call in it."""
        async with self.lease(self._confined(), session=CALLS) as lease, contextlib.aclosing(values_of(lease, call)) as values:
            yield values

    async def _feed(self, stream: Stream, send: Sends, call: Sequence[FunctionCall], timeout: float | None) -> None:
        """Make a call and hand what it yields to a stream, whatever becomes of either."""
        async with stream.filled(send):
            with timed(timeout, "The function"):
                async with self._called(call) as values:
                    async for ended, value in values:
                        if not ended:
                            await send.send(value)

    async def _run(
        self, running: Running, argv: Sequence[str], stdio: tuple[int, int, int], env: Mapping[str, str], timeout: float | None
    ) -> None:
        """Run a program on its ends of the pipes."""
        with running.watched(stdio) as ended:
            ended(await self.run_command(self._confined(), argv, stdio=stdio, env=env, timeout=timeout))

    def _confined(self) -> Confinement:
        """Return the pool's own confinement."""
        if self._own is None:
            raise SandboxError("This pool has no confinement of its own: make it as SandboxPool(Confinement(home=...)).")
        return self._own
