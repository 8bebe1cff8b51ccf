"""Pass an answer of a provider on to a guest: each piece as it comes, counted and watched, none merged and none split."""

from __future__ import annotations

from collections.abc import Sequence

from hermes_iso.broker.budgets import Charge
from hermes_iso.broker.egress.dialing import NoWayError
from hermes_iso.broker.model_host.endpoints import passed_back
from hermes_iso.broker.model_host.metering import Meter
from hermes_iso.broker.model_host.replies import Reply
from hermes_iso.broker.model_host.upstream import Answering
from hermes_iso.broker.watching import Watch, spellings
from hermes_iso.errors import ModelError


class CutError(NoWayError):
    """An answer that has begun can't be brought to its end."""


class LeakError(CutError):
    """An answer carried a value back that a guest must not have: it was cut before that."""


async def pass_on(reply: Reply, answering: Answering, charges: Sequence[Charge]) -> None:
    """Pass an answer on. Raises CutError when it can't be brought to its end: LeakError when it held the key."""
    settings = answering.settings
    patterns = spellings(filter(None, (settings.api_key, *settings.spare_keys, *settings.headers.values())))
    headers = passed_back(answering.headers)
    if any(pattern in value for pattern in patterns for _, value in headers):
        raise LeakError("The provider's answer held the gateway's key: it was not passed on.", refused=True)
    streamed = answering.headers.get("content-type", "").startswith("text/event-stream")
    meter, watch = Meter(streamed=streamed), Watch(patterns)
    try:
        # The head of a stream goes on at once; that of a whole answer, whose body is right behind it, with that.
        first = b"" if streamed else await _next_piece(answering, watch, meter, charges)
        await reply.start(answering.status, headers, first or b"")
        while (piece := await _next_piece(answering, watch, meter, charges)) is not None:
            if piece:
                await reply.send(piece)
        if rest := watch.rest():
            await reply.send(rest)
    except ModelError as error:
        if not reply.started:
            raise
        raise CutError(str(error)) from error
    finally:
        usage = meter.finish()
        for charge in charges:
            charge.usage = usage


async def _next_piece(answering: Answering, watch: Watch, meter: Meter, charges: Sequence[Charge]) -> bytes | None:
    """Return what of the body may go on now, None at its end. Raises LeakError, ModelError."""
    piece = await answering.body.read()
    for charge in charges:
        charge.received(len(piece))
    meter.take(piece)
    passed = watch.take(piece)
    if passed is None:
        raise LeakError("The provider's answer held the gateway's key: it was cut.", refused=True)
    return passed if piece else None
