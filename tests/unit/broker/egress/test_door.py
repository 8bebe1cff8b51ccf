"""A door's bounds: how many, how much, how long, and until when."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import structlog
import trio
import trio.testing

from hermes_iso.background import Background
from hermes_iso.broker.egress.client import READ_BYTES
from hermes_iso.broker.egress.dialing import Dialer
from tests.support.doors import WebServer, opened, read_all, read_head, rules, serving

WEB = "web.example.com"
CONNECT = b"CONNECT web.example.com:443 HTTP/1.1\r\nHost: web.example.com\r\n\r\n"
GET = b"GET http://web.example.com/ HTTP/1.1\r\nHost: web.example.com\r\n\r\n"


async def swallow(stream):
    """Read everything and say nothing."""
    await read_all(stream)


async def pour(stream):
    """Send without end."""
    while True:
        await stream.send_all(b"x" * READ_BYTES)


@asynccontextmanager
async def tunnel(found, host=WEB):
    """Open a tunnel, as a client does."""
    async with await found.connect() as stream:
        await stream.send_all(CONNECT.replace(b"web.example.com", host.encode()))
        assert (await read_head(stream)).startswith(b"HTTP/1.1 200 ")
        yield stream


async def ended(records):
    """Wait until there is a record, and return the latest."""
    with trio.fail_after(5):
        while not records:
            await trio.sleep(0)
    return records[-1]


async def test_connections_at_once_are_bounded():
    """One more than may be is told so; when one has ended, the next gets in."""
    async with serving(swallow) as port, opened(rules(WEB), hosts={WEB: port}, connections=2) as found, tunnel(found):
        async with tunnel(found):
            assert (await found.talk(CONNECT)).startswith(b"HTTP/1.1 503 ")
        await ended(found.records)
        await trio.testing.wait_all_tasks_blocked()
        async with tunnel(found):
            assert found.door.usage.open == 2


async def test_connections_in_all_are_bounded():
    """When as many have come as may be, nobody listens any more; what is open goes on, and there is no further record."""
    web = WebServer()
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}, total=3) as found:
        for _ in range(3):
            assert (await found.talk(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(b"HTTP/1.1 200")
        assert await found.talk(GET) == b""
        with pytest.raises(OSError, match="connect"):
            await found.connect()
    assert len(found.records) == 3


async def test_requests_on_one_connection_count_as_well():
    """Keeping a connection open is no way around the bound, and the records stay bounded."""
    web = WebServer()
    async with serving(web.handle) as port, opened(rules(WEB), hosts={WEB: port}, total=3) as found:
        answer = await found.talk(GET * 10)
    assert answer.count(b"HTTP/1.1 200 ") == 3
    assert answer.count(b"HTTP/1.1 403 ") == 1
    assert len(found.records) == len(web.heads) == 3


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_bytes_are_bounded_both_ways(direction):
    """The byte too many ends every connection, it does not go through, and new ones are refused."""
    limit = 300_000
    received = []

    async def count(stream):
        while data := await stream.receive_some(READ_BYTES):
            received.append(len(data))

    async with (
        serving(pour if direction == "down" else count) as port,
        opened(rules(WEB), hosts={WEB: port}, bytes=limit) as found,
    ):
        async with tunnel(found) as stream:
            with trio.fail_after(5):
                if direction == "down":
                    received.append(len(await read_all(stream)))
                else:
                    with pytest.raises(trio.BrokenResourceError):
                        await pour(stream)
        record = await ended(found.records)
        assert (record["verdict"], "used up" in record["reason"]) == ("cut", True)
        assert limit // 2 < sum(received) <= limit
        assert (await found.talk(CONNECT)).startswith(b"HTTP/1.1 403 ")


async def test_quiet_tunnel_ends():
    """Nothing either way for the idle time, and it is over; the record says why."""
    async with serving(swallow) as port, opened(rules(WEB), hosts={WEB: port}, idle_timeout=0.2) as found:
        async with tunnel(found) as stream:
            with trio.fail_after(5):
                assert await read_all(stream) == b""
        record = await ended(found.records)
    assert (record["verdict"], record["reason"]) == ("cut", "nothing moved for 0.2 seconds")


async def test_host_that_never_answers_ends():
    """A plain request to a host that is silent is over after the idle time."""
    async with serving(swallow) as port, opened(rules(WEB), hosts={WEB: port}, idle_timeout=0.2) as found:
        with trio.fail_after(5):
            assert await found.talk(GET) == b""
    assert found.records[0]["verdict"] == "cut"


async def test_client_that_reads_nothing_ends():
    """A guest can't hold a connection by not taking what it asked for."""
    async with serving(pour) as port, opened(rules(WEB), hosts={WEB: port}, idle_timeout=0.2) as found, tunnel(found):
        record = await ended(found.records)
    assert record["reason"] == "nothing moved for 0.2 seconds"


@pytest.mark.parametrize("begun", [b"", b"GET http://web.example.com/ HTTP/1.1\r\nHost: "])
async def test_slow_head_ends(begun):
    """A request that is begun has to be whole soon, and one has to be begun at all."""
    async with opened(rules(WEB), head_timeout=0.05, idle_timeout=0.2) as found, await found.connect() as stream:
        await stream.send_all(begun)
        with trio.fail_after(5):
            answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 408 ") if begun else answer == b""
    assert [record["verdict"] for record in found.records] == ["malformed"] * bool(begun)


async def test_trickle_of_a_head_is_not_patience():
    """A byte now and then does not extend the time for a head."""

    async def trickle(stream):
        while True:
            await stream.send_all(b"G")
            await trio.sleep(0.01)

    async with (
        opened(rules(WEB), head_timeout=0.1, idle_timeout=60) as found,
        await found.connect() as stream,
        Background() as nursery,
    ):
        nursery.start_soon(trickle, stream)
        with trio.fail_after(5):
            assert (await read_all(stream)).startswith(b"HTTP/1.1 408 ")
    assert found.records[0]["reason"] == "The head of the request took too long."


async def test_swap_ends_what_is_no_longer_allowed_and_nothing_else():
    """New rules count at once, also for tunnels that are open and requests to come."""
    async with (
        serving(swallow) as port,
        opened(rules("*.example.com"), hosts={WEB: port, "api.example.com": port}) as found,
        tunnel(found) as ends,
        tunnel(found, "api.example.com") as stays,
    ):
        found.door.swap(rules("*.example.com", deny=(WEB,)))
        with trio.fail_after(5):
            assert await read_all(ends) == b""
        record = await ended(found.records)
        assert (record["host"], record["verdict"], record["reason"]) == (WEB, "cut", "the rules have changed")
        assert "deny[0]" in record["rule"]
        assert (await found.talk(CONNECT)).startswith(b"HTTP/1.1 403 ")
        await stays.send_all(b"still")
        await trio.testing.wait_all_tasks_blocked()
        assert len(found.records) == 2


async def test_swap_while_connecting_ends_that_too():
    """A connection that is being made under old rules does not come to be."""
    asked = trio.Event()

    async def lookup(name):
        asked.set()
        await trio.sleep_forever()

    dialer = Dialer(lookup=lookup, lookup_timeout=60)
    async with opened(rules(WEB), dialer=dialer) as found, await found.connect() as stream:
        await stream.send_all(CONNECT)
        await asked.wait()
        found.door.swap(rules())
        with trio.fail_after(5):
            assert await read_all(stream) == b""
    assert found.records[0]["reason"] == "the rules have changed"


async def test_cancelling_closes_everything_at_once():
    """The end of a turn ends its listener and its tunnels, and each leaves its record."""
    async with serving(swallow) as port, opened(rules(WEB), hosts={WEB: port}) as found:
        async with tunnel(found) as first, tunnel(found) as second, tunnel(found) as third:
            found.scope.cancel()
            with trio.fail_after(5):
                for stream in (first, second, third):
                    assert await read_all(stream) == b""
        with pytest.raises(OSError, match="connect"):
            await found.connect()
    assert [(record["verdict"], record["reason"]) for record in found.records] == [
        ("cut", "the turn or its client has gone")
    ] * 3


@pytest.mark.slow
async def test_deadline_closes_the_door():
    """At the turn's deadline nothing is left of it, although nobody cancels."""
    async with (
        serving(swallow) as port,
        opened(rules(WEB), hosts={WEB: port}, deadline=trio.current_time() + 0.6) as found,
        tunnel(found) as stream,
    ):
        with trio.fail_after(5):
            assert await read_all(stream) == b""


async def test_crash_of_one_connection_harms_no_other():
    """What goes wrong in the gateway itself, here in its hook, ends that connection alone."""

    async def local(exchange):
        raise RuntimeError("a mistake")

    async with (
        serving(swallow) as port,
        opened(rules(WEB), hosts={WEB: port}, local=local) as found,
        tunnel(found) as stays,
    ):
        with structlog.testing.capture_logs() as logs:
            assert await found.talk(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
            await trio.testing.wait_all_tasks_blocked()
        assert [log["event"] for log in logs] == ["egress_connection_crashed"]
        await stays.send_all(b"still")
        assert found.door.usage.open == 1
