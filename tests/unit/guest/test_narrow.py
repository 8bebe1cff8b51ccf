"""What a turn process does with the narrowing of its request where it can't be applied."""

import socket
from pathlib import Path

import pytest

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.engines import TurnFault
from hermes_iso_sandbox.guest.narrow import narrow
from hermes_iso_sandbox.guest.turn import serve_turn

READ_ONLY = wire.Narrowing(read_only=["/workspace"])


def test_read_only_without_landlock_fails_the_turn() -> None:
    """Nothing else could keep a running process from writing, so the turn is refused in one sentence that says what to do."""
    with pytest.raises(TurnFault, match=r"no landlock .*newer kernel\.$"):
        narrow(READ_ONLY, ["/workspace"], 0, threads=1)


def test_no_narrowing_asks_nothing_of_the_kernel() -> None:
    """A turn that is not narrowed goes on also without landlock."""
    narrow(wire.Narrowing(), ["/no/such/place"], 0)


def test_narrowing_comes_before_anything_of_the_agents(tmp_path: Path) -> None:
    """One that can't be applied fails the turn before the agent's .env is read: that a line of it is broken goes unnoticed."""
    env_file = tmp_path / ".env"
    env_file.write_text("NAME='unclosed")
    request = wire.TurnRequest("t1", "a", "key", "s", "hi", [], "", "", [], 5, "echo", READ_ONLY)
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(wire.encode(request))
        with theirs:
            serve_turn(theirs, str(tmp_path), str(env_file), ["/no/such/place"])
        (answer,) = (wire.decode(body, wire.GUEST_MESSAGES) for body in wire.FrameReader().feed(ours.recv(1 << 16)))
    assert isinstance(answer, wire.TurnFailed)
    assert answer.kind == "narrowing"
