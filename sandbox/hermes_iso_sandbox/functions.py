"""Functions by value: pickle a call for a guest, and take in what it says about it.

cloudpickle goes one way: what comes back is data of `values`. A guest that says anything else has broken the rules.
"""

from __future__ import annotations

import base64
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import cloudpickle

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.call_wire import FUNCTION_MESSAGES, FunctionCall, Raised, Returned, Yielded
from hermes_iso_sandbox.errors import FloodError, GuestError, GuestTimeoutError, ProtocolError, SandboxError
from hermes_iso_sandbox.lease import Lease
from hermes_iso_sandbox.values import VALUE_BYTES, from_text

CALL_BYTES = 32 << 20
"""Longest pickle of a function and its arguments."""
PIECE = 3 << 17
"""Bytes of it in one message; a multiple of three, so that the base64 of the pieces is that of the whole."""
LARGE = 1 << 16
"""Characters of a value from which on it is read beside the event loop."""


@contextlib.contextmanager
def timed(timeout: float | None, what: str) -> Iterator[None]:
    """Raise GuestTimeoutError when the body takes longer than `timeout` seconds."""
    with anyio.move_on_after(timeout) as scope:
        yield
    if scope.cancelled_caught:
        raise GuestTimeoutError(f"{what} ran longer than {timeout:g} s and was ended.")


def pack(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[FunctionCall]:
    """Return a call by value, in pieces. Raise SandboxError for what can't be sent."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        with _by_value([function, *args, *kwargs.values()]):
            pickled = cloudpickle.dumps((function, tuple(args), dict(kwargs)))
    except MemoryError:
        raise SandboxError(f"{name} can't be sent: no memory is left to pickle it and its arguments.") from None
    except Exception as error:  # whatever the objects' own code raises
        raise SandboxError(
            f"{name} can't be sent by value: {type(error).__name__}: {error}. Locks, sockets, open files and generators "
            "stay where they are: make them in the function, or pass the data that they are made from."
        ) from error
    if len(pickled) > CALL_BYTES:
        raise SandboxError(
            f"{name} can't be sent: with its arguments it is {len(pickled)} bytes, and {CALL_BYTES} are the limit. "
            "Pass a path below the sandbox's home instead."
        )
    starts = range(0, len(pickled), PIECE)
    return [FunctionCall(base64.b64encode(pickled[start : start + PIECE]).decode(), start != starts[-1]) for start in starts]


@contextlib.contextmanager
def _by_value(values: Iterable[Any]) -> Iterator[None]:
    """Have cloudpickle take along what is defined in the modules of these values: a sandbox can't import them.

    Its register is one for the process, so what is added is taken out again. The standard library is there inside.
    """
    with contextlib.ExitStack() as added:
        for name in {_package(value) for value in values} - sys.stdlib_module_names:
            module = sys.modules.get(name)
            if module is not None and name not in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.register_pickle_by_value(module)
                added.callback(cloudpickle.unregister_pickle_by_value, module)
        yield


def _package(value: Any) -> str:
    """Return the name of the package that defines a function, or the class of an object."""
    if isinstance(value, partial):
        return _package(value.func)
    module = getattr(value if callable(value) else type(value), "__module__", None) or type(value).__module__
    return str(module).partition(".")[0]


async def values_of(lease: Lease, call: Sequence[FunctionCall]) -> AsyncGenerator[tuple[bool, Any], None]:
    """Make a call in a leased process; yield (False, value) for what it yields and (True, value) at its end.

    Raises GuestError for what it raises, ProtocolError, FloodError, GuestDiedError.
    """
    for piece in call:
        await lease.send(piece)
    parts: list[str] = []
    length = 0
    while True:
        message = await lease.receive(FUNCTION_MESSAGES)
        if isinstance(message, Raised):
            raise GuestError(message.kind, message.message, message.traceback)
        assert isinstance(message, Yielded | Returned)
        parts.append(message.text)
        length += len(message.text)
        if length > VALUE_BYTES:
            raise FloodError(f"The function sent a value of more than {VALUE_BYTES >> 20} MiB.")
        if message.more:
            continue
        yield isinstance(message, Returned), await _read("".join(parts))
        if isinstance(message, Returned):
            return
        parts, length = [], 0


async def _read(text: str) -> Any:
    """Return the value of a text."""
    try:
        return from_text(text) if len(text) < LARGE else await anyio.to_thread.run_sync(from_text, text)
    except (wire.WireError, RecursionError) as error:
        raise ProtocolError(f"The function sent something that is no value: {error}.") from error
