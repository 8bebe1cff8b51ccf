"""Delivery: once, and what became of it is known."""

from pathlib import Path

import pytest

from hermes_iso.errors import DeliveryError
from hermes_iso.messages import ChatRef, Inbound, Outbound, Receipt
from tests.support.line import Chat, open_line
from tests.unit.hermes_iso.test_journal import entries


async def test_failed_delivery_is_recorded_and_not_tried_again(tmp_path: Path) -> None:
    """An adapter that can't deliver is asked once; the caller learns it, the journal too."""
    calls: list[Outbound] = []

    async def deliver(outbound: Outbound) -> Receipt:
        calls.append(outbound)
        raise ConnectionError("the platform is gone")

    home = tmp_path / "home"
    async with open_line(home) as (gateway, _):
        inbound = Inbound(ChatRef("console", "c"), "hello", "1")
        with pytest.raises(DeliveryError, match="the platform is gone"):
            await gateway.handle(inbound, deliver, Chat(gateway).relay)
    assert len(calls) == 1
    assert entries(home)[-1][2:] == ("delivery_failed", {"error": "ConnectionError"})


async def test_answer_goes_to_the_chat_it_came_from(tmp_path: Path) -> None:
    """reply_to is the inbound's chat, with all its parts, and the receipt names the outbound."""
    chat = ChatRef("console", "c", "group", thread_id="7", parent_chat_id="p")
    async with open_line(tmp_path / "home") as (gateway, _):
        asked = Chat(gateway)
        receipt = await gateway.handle(Inbound(chat, "hello", "1"), asked.deliver, asked.relay)
    assert receipt.outbound.chat == chat
    assert receipt.platform_id == "1"
