"""The guest's end of a turn's channel: calls, streamed pieces, interrupts, and a host that goes away."""

import socket
from collections.abc import Iterator

import pytest

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import CallError, Interrupted, Link, LinkClosed


@pytest.fixture
def pair() -> Iterator[tuple[Link, socket.socket]]:
    """Give a link and the host's raw end of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Link(theirs), ours


def say(host: socket.socket, *messages: wire.HostMessage) -> None:
    """Send as the host."""
    host.sendall(b"".join(map(wire.encode, messages)))


def test_call_returns_the_answer_and_hands_over_pieces_in_order(pair: tuple[Link, socket.socket]) -> None:
    """Chunks go to the callback, the answer comes back."""
    link, host = pair
    pieces: list[dict] = []
    say(host, wire.BrokerChunk(1, {"text": "a"}), wire.BrokerChunk(1, {"text": "b"}), wire.BrokerAnswer(1, True, {"x": 1}))
    assert link.call("model", {"messages": []}, pieces.append) == {"x": 1}
    assert pieces == [{"text": "a"}, {"text": "b"}]
    sent = wire.decode(wire.FrameReader().feed(host.recv(1000))[0], wire.GUEST_MESSAGES)
    assert sent == wire.BrokerCall(1, "model", {"messages": []})


def test_refused_call_raises_with_kind_and_message(pair: tuple[Link, socket.socket]) -> None:
    """The host's refusal keeps its kind."""
    link, host = pair
    say(host, wire.BrokerAnswer(1, False, {"kind": "auth", "message": "no key"}))
    with pytest.raises(CallError, match="no key") as caught:
        link.call("model", {})
    assert caught.value.kind == "auth"


def test_interrupt_ends_a_waiting_call_and_is_remembered(pair: tuple[Link, socket.socket]) -> None:
    """An interrupt is seen in a call and in every later poll."""
    link, host = pair
    assert link.poll_interrupt() is False
    say(host, wire.Interrupt())
    with pytest.raises(Interrupted):
        link.call("model", {})
    assert link.poll_interrupt() is True


def test_late_answer_to_an_abandoned_call_is_not_taken_for_the_next(pair: tuple[Link, socket.socket]) -> None:
    """Answers belong to the call whose number they carry."""
    link, host = pair
    say(host, wire.Interrupt(), wire.BrokerAnswer(1, True, {"late": 1}), wire.BrokerAnswer(2, True, {"right": 1}))
    with pytest.raises(Interrupted):
        link.call("model", {})
    assert link.call("model", {}) == {"right": 1}


def test_poll_finds_an_interrupt_without_blocking(pair: tuple[Link, socket.socket]) -> None:
    """A poll reads what is there and no more."""
    link, host = pair
    say(host, wire.Interrupt())
    assert link.poll_interrupt() is True


def test_host_that_goes_away_closes_the_link(pair: tuple[Link, socket.socket]) -> None:
    """Nobody waits for a turn whose host is gone."""
    link, host = pair
    host.close()
    with pytest.raises(LinkClosed):
        link.call("model", {})
    with pytest.raises(LinkClosed):
        link.receive()


def test_what_the_turn_is_told_is_kept_apart_from_answers(pair: tuple[Link, socket.socket]) -> None:
    """Told in the middle of a call, it neither ends nor disturbs it, and is given out once, in order."""
    link, host = pair
    assert link.take_told() == []
    say(host, wire.Steer("one"), wire.BrokerChunk(1, {"text": "a"}), wire.Steer("two"), wire.BrokerAnswer(1, True, {"x": 1}))
    assert link.call("model", {}, lambda data: None) == {"x": 1}
    say(host, wire.Steer("three"))
    assert link.take_told() == ["one", "two", "three"]
    assert link.take_told() == []
    assert link.poll_interrupt() is False
