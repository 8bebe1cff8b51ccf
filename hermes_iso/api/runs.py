"""POST /v1/runs, GET /v1/runs/{id}, its events, and its stop: turns that nobody waits for on the line."""

from __future__ import annotations

import time
from typing import Any

from hermes_iso.api.choice import Directory
from hermes_iso.api.errors import Receive, Scope, Send, send_json, turn_error
from hermes_iso.api.event_stream import EventStream
from hermes_iso.api.inbounds import head_headers
from hermes_iso.api.item_messages import ItemMessages
from hermes_iso.api.response_object import status_of, usage_of
from hermes_iso.inbox.values import Row
from hermes_iso.messages import Outbound, Progress, Receipt

KIND, PREFIX = "run", "run_"
_EVENTS = {"text": "message.delta", "tool_called": "tool.started", "tool_returned": "tool.completed"}


class Runs:
    """The endpoints."""

    def __init__(self, directory: Directory) -> None:
        self._messages = ItemMessages(directory)
        self._kept = self._messages.kept

    async def create(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a run for good; it is on disk before the 202."""
        row, _ = await self._messages.take(scope, receive, KIND)
        run = {"run_id": PREFIX + row.turn_id, "status": run_status(row)}
        await send_json(send, run, status=202, headers=head_headers(row.inbound))

    async def one(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # an endpoint's form
        """Tell how a run stands."""
        row = await self._messages.find(scope, KIND, PREFIX)
        await send_json(send, run_object(row), headers=head_headers(row.inbound))

    async def events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream what a run shows, from its beginning, to its end. Whoever leaves stops nothing."""
        row = await self._messages.find(scope, KIND, PREFIX)
        await self._kept.answer(row, RunEvents(send, row), receive, stays=True)

    async def stop(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Stop a run, and tell how it stands then."""
        row = await self._messages.find(scope, KIND, PREFIX)
        await self._kept.stop(row.turn_id)
        await send_json(send, run_object(await self._kept.again(row)), headers=head_headers(row.inbound))


def run_status(row: Row) -> str:
    """Return a run's status."""
    found = status_of(row, row.outbound)
    return "running" if found == "in_progress" else found


def run_object(row: Row) -> dict[str, Any]:
    """Return a run as it stands."""
    outbound, status = row.outbound, run_status(row)
    failed = outbound is not None and outbound.error is not None
    return {
        "run_id": PREFIX + row.turn_id,
        "object": "run",
        "status": status,
        "created_at": int(row.accepted),
        "agent": row.inbound.agent,
        "session_id": row.inbound.session_id,
        "metadata": row.about.request.get("metadata") or {},
        "output": None if outbound is None or failed else outbound.text,
        "error": {"code": outbound.error, "message": outbound.text} if outbound and failed and status == "failed" else None,
        "usage": None if outbound is None else usage_of(outbound.usage),
    }


class RunEvents:
    """A run's events, in Hermes' form."""

    def __init__(self, send: Send, row: Row) -> None:
        self._events = EventStream(send, head_headers(row.inbound))
        self.write = self._events.write
        self._run_id = PREFIX + row.turn_id
        self._row = row

    async def relay(self, progress: Progress) -> None:
        """Tell what the run shows."""
        what: dict[str, Any] = {"tool": progress.name, "preview": progress.text}
        if progress.kind == "text":
            what = {"delta": progress.text}
        elif progress.kind == "status":
            what = {"text": progress.text}
        elif progress.kind == "question":
            what = {"kind": progress.name, "question": progress.text}
        elif progress.kind == "tool_returned":
            what = {"tool": progress.name, "error": progress.text != "ok"}
        await self._put(_EVENTS.get(progress.kind, progress.kind), **what)

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Tell the end."""
        status = status_of(self._row, outbound)
        if outbound.error == "draining":
            await self._events.fail(turn_error(outbound))
        elif status == "failed":
            await self._put("run.failed", error={"code": outbound.error, "message": outbound.text})
        else:
            await self._put(f"run.{status}", output=outbound.text, usage=usage_of(outbound.usage))
        self._events.close()
        return Receipt(outbound, self._run_id)

    async def _put(self, event: str, **fields: Any) -> None:
        """Add an event."""
        await self._events.put({"event": event, "run_id": self._run_id, "timestamp": time.time(), **fields})
