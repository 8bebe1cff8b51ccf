"""What a guest may ask the gateway for is checked against its grant on the trusted side."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio

from hermes_iso.guest_calls import GuestCalls
from hermes_iso_sandbox import wire


class Processes:
    """Answers everything."""

    async def answer(self, params: dict[str, Any]) -> dict[str, Any]:
        """Say yes."""
        return {"done": params["action"]}


class Lease:
    """Keeps what the gateway sends."""

    def __init__(self) -> None:
        self.sent: list[wire.BrokerAnswer] = []

    async def send(self, message: Any) -> None:
        """Keep it."""
        self.sent.append(message)


@pytest.mark.parametrize(("processes", "ok"), [(None, False), (Processes(), True)])
async def test_background_processes_need_a_grant_that_has_them(processes: Processes | None, ok: bool) -> None:
    """A turn without a tool that works with processes is refused, whatever its guest says."""
    lease = Lease()
    async with trio.open_nursery() as nursery:
        calls = GuestCalls(cast("Any", lease), nursery, models=cast("Any", None), processes=cast("Any", processes))
        calls.take_nowait(wire.BrokerCall(1, "process", {"action": "start", "command": "id"}))
    assert [answer.ok for answer in lease.sent] == [ok]
    assert ok or lease.sent[0].data["kind"] == "refused"
