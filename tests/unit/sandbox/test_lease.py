"""A lease reads a hostile peer: garbage, floods and early ends are errors of their own kind."""

import socket
from collections.abc import Callable

import anyio
import pytest
from anyio.abc import UNIXSocketStream

from hermes_iso_sandbox import GuestDiedError, Lease, ProtocolError, SandboxError, lease, wire
from hermes_iso_sandbox.errors import FloodError
from hermes_iso_sandbox.zygote import Forked


def received(sent: bytes, *, backend: str = "trio", reads: int = 1, status: int | None = 137) -> list[object]:
    """Return what `reads` calls of receive() give when the guest sent these bytes and closed."""

    async def main() -> list[object]:
        ours, theirs = socket.socketpair()
        forked = Forked(1)
        forked.status = status
        forked.gone.set()
        async with await UNIXSocketStream.from_socket(ours) as stream:
            lease = Lease(forked, stream, None)  # type: ignore[arg-type]

            async def send() -> None:
                async with await UNIXSocketStream.from_socket(theirs) as other:
                    try:
                        await other.send(sent)
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                        return

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                got: list[object] = []
                try:
                    while len(got) < reads:
                        got.append(await lease.receive())
                except SandboxError as error:
                    got.append(error)
                tasks.cancel_scope.cancel()
            return got

    got = anyio.run(main, backend=backend)
    if isinstance(got[-1], SandboxError):
        raise got[-1]
    return got


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_receive_gives_messages_in_order(backend: str) -> None:
    """Frames that arrive together come out one by one."""
    messages = [wire.TextDelta("a"), wire.TextDelta("b"), wire.TurnDone("ab")]
    assert received(b"".join(map(wire.encode, messages)), backend=backend, reads=3) == messages


@pytest.mark.parametrize(
    "sent",
    [b"\xff\xff\xff\xff", wire.encode(wire.TextDelta("x"))[:-1], b"\x00\x00\x00\x02{}", b"GET / HTTP/1.1\r\n\r\n"],
    ids=["4 GiB", "cut", "no message", "http"],
)
def test_receive_refuses_what_is_no_frame(sent: bytes) -> None:
    """Whatever is not a whole known message is a protocol error."""
    with pytest.raises(ProtocolError):
        received(sent)


def test_receive_says_that_the_guest_died_and_how() -> None:
    """A guest that closes its channel without a word is dead, with its status."""
    with pytest.raises(GuestDiedError, match="killed") as caught:
        received(b"")
    assert caught.value.status == 137


def flood_of_events() -> bytes:
    """Return one message more than a turn may send."""
    return wire.encode(wire.TextDelta("")) * (lease.TURN_EVENTS + 1)


def flood_of_bytes() -> bytes:
    """Return a few more bytes than a turn may send."""
    frame = wire.encode(wire.TextDelta("x" * 1_000_000))
    return frame * (lease.TURN_BYTES // len(frame) + 1)


@pytest.mark.parametrize("make", [flood_of_events, flood_of_bytes])
def test_receive_cuts_a_flood_at_its_bound(make: Callable[[], bytes]) -> None:
    """Messages and bytes of a turn are counted, and the one too many ends it."""
    with pytest.raises(FloodError):
        received(make(), reads=lease.TURN_EVENTS + 1)
