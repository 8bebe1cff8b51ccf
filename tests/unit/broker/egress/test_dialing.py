"""Dialer: one lookup, checked addresses alone, in order, within its time."""

from __future__ import annotations

import errno

import pytest
import trio

from hermes_iso.broker.egress.dialing import ADDRESSES, Dialer, Endpoint, NoWayError


def found(*addresses):
    """Return a lookup that finds these."""

    async def lookup(name):
        return addresses

    return lookup


class Connections:
    """Stands for the network: remembers who was called, and refuses those in `refuse`."""

    def __init__(self, *, refuse=()):
        self.tried = []
        self.refuse = refuse

    async def __call__(self, address, port):
        self.tried.append((address, port))
        if address in self.refuse:
            raise OSError(errno.ECONNREFUSED, "no")
        return "a stream"


async def test_inner_addresses_are_left_out_and_public_ones_tried_in_order():
    """A name with both kinds is reached by its public addresses alone."""
    network = Connections(refuse=("1.1.1.1",))
    dialer = Dialer(lookup=found("10.0.0.1", "1.1.1.1", "127.0.0.1", "8.8.8.8", "9.9.9.9"), connect=network)
    assert await dialer.dial("a.org", 443) == "a stream"
    assert network.tried == [("1.1.1.1", 443), ("8.8.8.8", 443)]


async def test_name_with_inner_addresses_alone_is_refused():
    """Nothing is connected to, the guest's sentence names no kind, and the operator's does."""
    network = Connections()
    with pytest.raises(NoWayError) as caught:
        await Dialer(lookup=found("10.0.0.1", "::1"), connect=network).dial("a.org", 443)
    assert caught.value.refused
    assert str(caught.value) == "a.org has no public address, and no door leads to another kind."
    assert caught.value.why == "a.org has no public address (loopback, private)"
    assert network.tried == []


async def test_resolver_map_counts_for_exactly_its_names():
    """A name in the map goes where the operator says, unchecked and not looked up; its neighbours do not."""
    network = Connections()
    dialer = Dialer({"a.org": Endpoint("127.0.0.1", 8080), "b.org": Endpoint("10.0.0.1")}, found("127.0.0.1"), network)
    await dialer.dial("a.org", 443)
    await dialer.dial("b.org", 80)
    assert network.tried == [("127.0.0.1", 8080), ("10.0.0.1", 80)]
    for name in ("x.a.org", "org", "aa.org"):
        with pytest.raises(NoWayError, match="no public address"):
            await dialer.dial(name, 443)


async def test_only_so_many_addresses_are_tried():
    """A name with thousands of addresses does not keep the door busy."""
    addresses = [f"1.1.{n}.1" for n in range(100)]
    network = Connections(refuse=addresses)
    with pytest.raises(NoWayError, match=r"a\.org:443 can't be reached: Connection refused"):
        await Dialer(lookup=found(*addresses), connect=network).dial("a.org", 443)
    assert len(network.tried) == ADDRESSES


async def test_waiting_is_bounded(autojump_clock):
    """Neither a slow name nor a silent address holds longer than its time."""

    async def forever(*args):
        await trio.sleep_forever()

    with pytest.raises(NoWayError, match="was not found in time"):
        await Dialer(lookup=forever).dial("a.org", 443)
    assert trio.current_time() == pytest.approx(5.0)
    with pytest.raises(NoWayError, match="no answer in time") as caught:
        await Dialer(lookup=found("1.1.1.1"), connect=forever).dial("a.org", 443)
    assert trio.current_time() == pytest.approx(15.0)
    assert not caught.value.refused


async def test_silent_address_leaves_time_for_the_next(autojump_clock):
    """Where one family of addresses leads nowhere, the other still has its share of the time."""

    async def connect(address, port):
        if ":" in address:
            await trio.sleep_forever()
        return "a stream"

    dialer = Dialer(lookup=found("2606:4700::1111", "1.1.1.1"), connect=connect, connect_timeout=10)
    assert await dialer.dial("a.org", 443) == "a stream"
    assert trio.current_time() == pytest.approx(5.0)


async def test_name_that_does_not_exist_is_out_of_reach():
    """It is no refusal: the guest should check the name."""

    async def lookup(name):
        raise OSError("Name or service not known")

    with pytest.raises(NoWayError, match=r"There is no host a\.org") as caught:
        await Dialer(lookup=lookup).dial("a.org", 443)
    assert not caught.value.refused


@pytest.mark.parametrize(("endpoint", "text"), [(Endpoint("::1", 80), "[::1]:80"), (Endpoint("10.0.0.1"), "10.0.0.1")])
def test_endpoint_is_written_as_people_do(endpoint, text):
    """With brackets where they are needed."""
    assert str(endpoint) == text
