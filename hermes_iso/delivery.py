"""Delivery: an outbound is handed to its adapter once, and what became of it is recorded."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from hermes_iso.errors import DeliveryError, DrainingError, TurnError
from hermes_iso.journal import TurnLog
from hermes_iso.messages import Inbound, Outbound, Receipt, Usage
from hermes_iso.outcomes import Outcome, failed
from hermes_iso.routing import Route

Deliver = Callable[[Outbound], Awaitable[Receipt]]


def outbound_of(outcome: Outcome, route: Route, *, turn_id: str, session_id: str) -> Outbound:
    """Return what goes back for a turn, to the chat that its route fixed."""
    return Outbound(
        chat=route.reply_to,
        text=outcome.text,
        turn_id=turn_id,
        agent=route.agent,
        session_id=session_id,
        usage=outcome.usage,
        error=outcome.error,
        retry_after=outcome.retry_after,
        interrupted=outcome.interrupted,
    )


def refusal_of(error: TurnError, inbound: Inbound, route: Route, *, turn_id: str) -> Outbound:
    """Return what goes back when a turn could not even begin, or its answer could not be kept."""
    session_id = inbound.session_id or ""
    return outbound_of(failed(error, Usage()), route, turn_id=turn_id, session_id=session_id)


def answer_of(text: str, inbound: Inbound, route: Route, *, turn_id: str) -> Outbound:
    """Return what goes back for a command, which is no turn."""
    return outbound_of(Outcome(text), route, turn_id=turn_id, session_id=inbound.session_id or "")


async def deliver_once(outbound: Outbound, deliver: Deliver, *, log: TurnLog) -> Receipt:
    """Deliver and return the receipt; never tries again, because what failed may have arrived.

    Raises DeliveryError when `deliver` raises. Cancelling leaves open whether it arrived.
    """
    try:
        receipt = await deliver(outbound)
    except trio.Cancelled:
        await log.add_last("delivery_cancelled")
        raise
    except DrainingError:  # it is kept for when the gateway is back
        await log.add("delivery_put_off")
        raise
    except Exception as error:
        structlog.get_logger().exception("delivery_failed", turn_id=outbound.turn_id, agent=outbound.agent)
        await log.add("delivery_failed", error=type(error).__name__)
        raise DeliveryError(f"The answer could not be delivered ({type(error).__name__}: {error}).") from error
    await log.add("delivered", platform_id=receipt.platform_id)
    return receipt
