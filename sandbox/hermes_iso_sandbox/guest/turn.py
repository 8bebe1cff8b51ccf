"""Serve one turn and exit: wait for the request on the inherited socket, run the engine, answer."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.call_wire import FunctionCall
from hermes_iso_sandbox.guest.confine import Settings
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.engines.table import ENGINES, TakeTurn, ready_engines
from hermes_iso_sandbox.guest.function import serve_function
from hermes_iso_sandbox.guest.link import Link, LinkClosed
from hermes_iso_sandbox.guest.narrow import narrow

FIXED_NAMES = ("HOME", "HERMES_HOME", "USER")
"""Names that an agent's own .env can't change: the paths inside hang on them."""
TURN_NAMES = ("HERMES_SESSION_ID", "HERMES_ISO_AGENT", "HERMES_ISO_SESSION_KEY", "HERMES_ISO_TURN_ID")
"""The names that tell a turn which one it is."""
_REHEARSAL = wire.encode(wire.TurnRequest("", "", "", "", "", [], "", "", [], 1, "echo"))


def rehearse() -> None:
    """Take a turn that asks for nothing, so that the first real one finds every page and name that it needs at hand."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(_REHEARSAL)
        serve_turn(theirs, ".", {}, ())
        ours.recv(1 << 12)
    for name in TURN_NAMES:
        del os.environ[name]


def await_turn(sock: socket.socket, settings: Settings, proxies: dict[str, str]) -> None:
    """Take the turn with the engines of this sandbox. proxies: what says where the door is."""
    own_env = settings.own_env
    make_ready = partial(ready_engines, settings.engine, settings.engine_settings, settings.cwd, own_env, proxies)
    serve_turn(sock, settings.cwd, {**own_env, **proxies}, settings.writable, make_ready)


def serve_turn(
    sock: socket.socket,
    cwd: str,
    own_env: dict[str, str],
    writable: Sequence[str],
    make_ready: Callable[[], Mapping[str, TakeTurn]] = lambda: ENGINES,
) -> None:
    """Take exactly one turn, or make one call of a function.

    Returns when the answer is on its way or when nobody waits for it any more.

    writable: the places where this process may write so far, from which the request can take some away. make_ready: gives the
    engines; it is called before the request where the host says so.
    """
    link = Link(sock)
    try:
        request, engines = link.receive(), None
        if isinstance(request, wire.MakeReady):
            engines, request = make_ready(), link.receive()
        if isinstance(request, FunctionCall):
            os.environ.update(own_env)
            os.chdir(cwd)
            serve_function(request, link)
            return
        if not isinstance(request, wire.TurnRequest):
            return
        try:
            narrow(request.narrowing, writable)  # before anything of the agent's is read
        except TurnFault as fault:
            link.send(wire.TurnFailed(fault.kind, fault.message))
            return
        os.environ.update(turn_environment(request, own_env))
        os.chdir(cwd)
        try:
            link.send(_answer(request, link, engines or make_ready()))
        except wire.WireError as error:
            link.send(wire.TurnFailed("guest_error", f"The answer does not fit a message: {error}."))
    except LinkClosed:
        return


def _answer(request: wire.TurnRequest, link: Link, engines: Mapping[str, TakeTurn]) -> wire.TurnDone | wire.TurnFailed:
    """Run the engine; whatever it raises becomes one sentence."""
    try:
        return engines[request.engine](request, link)
    except TurnFault as fault:
        return wire.TurnFailed(fault.kind, fault.message)
    except LinkClosed:
        raise
    except MemoryError:
        return wire.TurnFailed("guest_error", "The turn ran out of the memory that this agent may use.")
    except Exception as error:
        return wire.TurnFailed("guest_error", f"The engine failed with {type(error).__name__}: {error}"[:500])


def turn_environment(request: wire.TurnRequest, own_env: dict[str, str]) -> dict[str, str]:
    """Return what a turn adds to the environment: the agent's own .env, then the names that say which turn this is."""
    values = (request.session_id, request.agent, request.session_key, request.turn_id)
    return {**own_env, **dict(zip(TURN_NAMES, values, strict=True))}


def read_env_file(path: str | None) -> dict[str, str]:
    """Return the names of a generated KEY=VALUE file, quoted as a shell reads it; {} without one."""
    if path is None or not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        words = shlex.split(file.read(), comments=True)
    pairs = (word.partition("=") for word in words)
    return {name: value for name, equals, value in pairs if equals and name not in FIXED_NAMES}
