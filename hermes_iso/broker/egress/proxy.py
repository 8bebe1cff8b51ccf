"""serve_connection: one connection of a guest to its door, from its first byte on: read, decide, connect, relay."""

from __future__ import annotations

import trio

from hermes_iso.background import Background
from hermes_iso.broker.egress.client import Client, ClientGoneError
from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.broker.egress.door import Door, Passage
from hermes_iso.broker.egress.heads import BadRequestError, Target, read_target
from hermes_iso.broker.egress.relays import forward, tunnel


async def serve_connection(stream: trio.abc.HalfCloseableStream, door: Door) -> None:
    """Serve a connection, which the door has counted already, until either side ends it. Cancelling closes it at once."""
    client = Client(stream, door)
    try:
        another = await _serve_request(client, door)
        while another:
            another = await _serve_request(client, door, counted=False)
        await client.linger()
    except ClientGoneError:
        return
    finally:
        await trio.aclose_forcefully(stream)


async def _serve_request(client: Client, door: Door, *, counted: bool = True) -> bool:
    """Serve the next request; return whether another one may follow. `counted`: with its connection."""
    try:
        request = await client.next_request()
        if request is None:
            return False
        if not counted and not door.spend():
            await client.answer(403, f"The {door.limits.total} requests that a turn may send are used up.", last=True)
            return False
        target = read_target(request)
    except BadRequestError as error:
        with Passage(door, "", None) as client.passage:
            await _complain(client, client.passage, error)
        return False
    with Passage(door, request.method.decode("ascii"), target, head=client.head_bytes) as passage:
        client.passage = passage
        try:
            return await _serve_target(client, door, target, passage)
        except NoWayError as error:
            await _give_up(client, passage, error)
        except BadRequestError as error:
            await _complain(client, passage, error)
    return False


async def _serve_target(client: Client, door: Door, target: Target, passage: Passage) -> bool:
    """Serve a request that was read; return whether another one may follow. Raises NoWayError, BadRequestError."""
    if target.kind == "local" or (target.kind == "plain" and target.host in door.virtual):
        passage.becomes_local()
        await door.local(client)
        return await client.finish()
    _permit(door, target, passage)
    if target.kind == "tunnel":
        async with await _dial_while_quiet(client, door, target) as upstream:
            passage.becomes("allowed")
            await client.open_tunnel()
            await tunnel(client, upstream)
        return False
    async with await door.dialer.dial(target.host, target.port) as upstream:
        passage.becomes("allowed")
        return await forward(client, target, upstream)


def _permit(door: Door, target: Target, passage: Passage) -> None:
    """Raise NoWayError unless door and rules let a request through."""
    where = f"{target.host}:{target.port}"
    if target.address:
        raise NoWayError(f"{target.host} is an address, and this door leads to hosts by their names alone.", refused=True)
    if door.used_up:
        raise NoWayError(f"The {door.limits.bytes} bytes that a turn may move through its door are used up.", refused=True)
    verdict = passage.decide()
    if not verdict.allowed and target.host in door.virtual:
        sentence = f"The gateway itself speaks to {target.host}, and takes plain HTTP for it: use http://{target.host}/."
        raise NoWayError(sentence, refused=True, why=verdict.rule)
    if not verdict.allowed:
        ask = f"For the operator: hermes-iso egress explain {door.agent} {where}"
        raise NoWayError(f"Agent {door.agent} may not reach {where}: {verdict.told}. {ask}", refused=True, why=verdict.rule)


async def _dial_while_quiet(client: Client, door: Door, target: Target) -> trio.SocketStream:
    """Connect to the host of a tunnel while its client waits, as it must: what it sends before the answer would be in doubt.

    Raises BadRequestError when it sends something, ClientGoneError when it goes, NoWayError.
    """
    upstream: trio.SocketStream | None = None
    if not client.spoke_early:
        async with Background() as nursery:
            nursery.start_soon(_watch, client, nursery.cancel_scope)
            upstream = await door.dialer.dial(target.host, target.port)
    if upstream is not None and not client.spoke_early and not client.gone:
        return upstream
    if upstream is not None:
        await trio.aclose_forcefully(upstream)
    if client.gone:
        raise ClientGoneError
    raise BadRequestError("Bytes came behind a CONNECT before it was answered: wait for the answer.")


async def _watch(client: Client, dialing: trio.CancelScope) -> None:
    await client.wait_early()
    dialing.cancel()


async def _give_up(client: Client, passage: Passage, error: NoWayError) -> None:
    """Answer a request that does not get through, unless an answer has begun: then its connection just ends."""
    passage.becomes("refused" if error.refused else "failed", error.why)
    if not client.started:
        await client.answer(403 if error.refused else 502, str(error), last=True)


async def _complain(client: Client, passage: Passage, error: BadRequestError) -> None:
    """Answer a request that is none, unless an answer has begun."""
    passage.becomes("malformed", str(error))
    if not client.started:
        await client.answer(error.status, str(error), last=True)
