"""Dialer: from a name that the rules allow to a connection to an address that was checked, resolved once and pinned."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import trio

from hermes_iso.broker.egress.addresses import refusal

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a name; raises OSError when there are none."""
Connect = Callable[[str, int], Awaitable[trio.SocketStream]]
"""Connects to an address; raises OSError."""

LOOKUPS = 4
"""Names that one door looks up at a time. A lookup that was given up goes on in its thread and counts until it ends."""
ADDRESSES = 8
"""Addresses of a name that are tried."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the operator's resolver map leads a name. port: None keeps the port that was asked for."""

    address: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return host if self.port is None else f"{host}:{self.port}"


class NoWayError(Exception):
    """A request does not get through; its text is a sentence for the guest, `why` one for the operator.

    refused: it is forbidden, and not just out of reach.
    """

    def __init__(self, sentence: str, *, refused: bool = False, why: str = "") -> None:
        super().__init__(sentence)
        self.refused = refused
        self.why = why or sentence


class SystemLookup:
    """Asks the machine's resolver, in threads of which there are few, so that slow names hold up nobody else."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(LOOKUPS)

    async def __call__(self, name: str) -> Sequence[str]:
        """Return the addresses of a name. Raises OSError."""
        return await trio.to_thread.run_sync(_lookup, name, abandon_on_cancel=True, limiter=self._limiter)


def _lookup(name: str) -> list[str]:
    # The dot at the end keeps search domains out: the name that was allowed is the name that is asked for.
    found = socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def open_stream(address: str, port: int) -> trio.SocketStream:
    """Connect to an address, without any lookup. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = trio.socket.socket(family, socket.SOCK_STREAM)
    try:
        await sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


@dataclass(frozen=True, slots=True)
class Dialer:
    """Makes the connections of one door.

    resolve: the operator's map; what stands there is connected to unchecked. Times are in seconds; the addresses of a name
    share that for connecting evenly.
    """

    resolve: Mapping[str, Endpoint] = field(default_factory=dict)
    lookup: Lookup = field(default_factory=SystemLookup)
    connect: Connect = open_stream
    lookup_timeout: float = 5.0
    connect_timeout: float = 10.0

    async def dial(self, host: str, port: int) -> trio.SocketStream:
        """Connect to a host, by one of the addresses that a single lookup gave. Raises NoWayError."""
        endpoint = self.resolve.get(host)
        if endpoint is not None:
            return await self._connect(host, [endpoint.address], endpoint.port or port)
        return await self._connect(host, await self._public(host), port)

    async def _public(self, host: str) -> list[str]:
        """Return the public addresses of a name. Raises NoWayError when there is none."""
        try:
            with trio.fail_after(self.lookup_timeout):
                found = await self.lookup(host)
        except trio.TooSlowError as error:
            raise NoWayError(f"The address of {host} was not found in time: try again later.") from error
        except (OSError, UnicodeError) as error:
            raise NoWayError(f"There is no host {host}: check its name.") from error
        kinds = {address: refusal(address) for address in found}
        public = [address for address, kind in kinds.items() if not kind]
        if not public:
            why = f"{host} has no public address ({', '.join(sorted(set(kinds.values()))) or 'none at all'})"
            raise NoWayError(f"{host} has no public address, and no door leads to another kind.", refused=True, why=why)
        return public[:ADDRESSES]

    async def _connect(self, host: str, addresses: Sequence[str], port: int) -> trio.SocketStream:
        """Connect to the first address that answers. Raises NoWayError."""
        failed: OSError | None = None
        for address in addresses:
            with trio.move_on_after(self.connect_timeout / len(addresses)):
                try:
                    return await self.connect(address, port)
                except OSError as error:
                    failed = error
        reason = "no answer in time" if failed is None else os.strerror(failed.errno or errno.EHOSTUNREACH)
        raise NoWayError(f"{host}:{port} can't be reached: {reason}.") from failed
