"""The object of a response in OpenAI's shape, and the events of one that is streamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hermes_iso.api.errors import Send, send_error, send_json, turn_error
from hermes_iso.api.event_stream import EventStream, rest_of
from hermes_iso.api.kept import KeptMessages
from hermes_iso.inbox.values import Row
from hermes_iso.messages import Outbound, Progress, Receipt, Usage

JsonObject = dict[str, Any]
PREFIX = "resp_"


def response_object(row: Row, outbound: Outbound | None, texts: Sequence[str] | None = None) -> JsonObject:
    """Return a response as it stands. texts: what it says, where it differs from what is kept."""
    request = row.about.request
    said = [] if outbound is None or outbound.error else list(texts if texts is not None else texts_of(row, outbound))
    return {
        "id": PREFIX + row.turn_id,
        "object": "response",
        "created_at": int(row.accepted),
        "status": status_of(row, outbound),
        "background": bool(request.get("background")),
        "error": _error(outbound),
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "max_output_tokens": None,
        "metadata": request.get("metadata") or {},
        "model": request.get("model") or row.inbound.agent,
        "output": [item(row.turn_id, number, text, last=number == len(said) - 1) for number, text in enumerate(said)],
        "parallel_tool_calls": True,
        "previous_response_id": request.get("previous"),
        "reasoning": {"effort": None, "summary": None},
        "store": request.get("store", True),
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": None if outbound is None else usage_of(outbound.usage),
        "user": None,
    }


def status_of(row: Row, outbound: Outbound | None) -> str:
    """Return a response's status."""
    if outbound is None:
        return "in_progress" if row.state == "running" else "queued"
    if outbound.interrupted or outbound.error == "interrupted":
        return "cancelled"
    return "completed" if outbound.error is None else "failed"


def texts_of(row: Row, outbound: Outbound) -> list[str]:
    """Return what a turn said: between its tools, and its answer last."""
    said = [str(each["content"]) for each in row.messages if each["role"] == "assistant" and each.get("content")]
    between = said[:-1] if said and said[-1].strip() == outbound.text.strip() else said
    return [*(text + "\n\n" for text in between), outbound.text]


def item(turn_id: str, number: int, text: str, *, last: bool, status: str = "completed") -> JsonObject:
    """Return a message of a response's output; without text while it is in progress."""
    parts = [part(text)] if status == "completed" else []
    phase = "final_answer" if last else "commentary"
    return {
        "id": item_id(turn_id, number),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": parts,
        "phase": phase if status == "completed" else None,
    }


def item_id(turn_id: str, number: int) -> str:
    """Return the id of a response's message."""
    return f"msg_{turn_id}_{number}"


def part(text: str) -> JsonObject:
    """Return the text of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def usage_of(usage: Usage) -> JsonObject:
    """Return a turn's usage as responses and runs have it."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _error(outbound: Outbound | None) -> JsonObject | None:
    """Return why a response failed; OpenAI's clients know a few codes only."""
    if outbound is None or outbound.error in (None, "interrupted"):
        return None
    code = "rate_limit_exceeded" if outbound.error in ("busy", "rate_limited") else "server_error"
    return {"code": code, "message": outbound.text}


class ResponseStream:
    """A response as server-sent events; each text between two tools is a message of its output."""

    def __init__(self, send: Send, row: Row, headers: Mapping[str, str]) -> None:
        self._events = EventStream(send, headers)
        self.write = self._events.write
        self._row = row
        self._number = 0
        self._begun = False
        self._texts: list[str] = []
        self._text = ""

    async def relay(self, progress: Progress) -> None:
        """Send text on; a tool ends a message."""
        await self._begin()
        if progress.kind == "text":
            await self._say(progress.text)
        elif self._text and progress.kind != "status":
            await self._say("\n\n")
            await self._end_item(last=False)

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Send what is left of the text and the end, or the failure."""
        if outbound.error == "draining":
            await self._events.fail(turn_error(outbound))
            self._events.close()
            return Receipt(outbound, "")
        await self._begin()
        if outbound.error is None:
            rest = rest_of(outbound.text, self._text)
            if self._text and not outbound.text.startswith(self._text) and rest:
                await self._say("\n\n")
                await self._end_item(last=False)
            await self._say(rest)
            await self._end_item(last=True)
        kind = {"completed": "response.completed", "cancelled": "response.incomplete"}.get(status_of(self._row, outbound))
        await self._event(kind or "response.failed", response=response_object(self._row, outbound, self._texts))
        self._events.close()
        return Receipt(outbound, PREFIX + outbound.turn_id)

    async def _begin(self) -> None:
        """Say that there is a response."""
        if not self._begun:
            self._begun = True
            response = {**response_object(self._row, None), "status": "in_progress"}
            await self._event("response.created", response=response)
            await self._event("response.in_progress", response=response)

    async def _say(self, text: str) -> None:
        """Add to the current message, which begins with its first text."""
        place = self._place()
        if not self._text:
            begun = item(self._row.turn_id, place["output_index"], "", last=True, status="in_progress")
            await self._event("response.output_item.added", output_index=place["output_index"], item=begun)
            await self._event("response.content_part.added", **place, content_index=0, part=part(""))
        self._text += text
        if text:
            await self._event("response.output_text.delta", **place, content_index=0, delta=text, logprobs=[])

    async def _end_item(self, *, last: bool) -> None:
        """End the current message."""
        place, text = self._place(), self._text
        await self._event("response.output_text.done", **place, content_index=0, text=text, logprobs=[])
        await self._event("response.content_part.done", **place, content_index=0, part=part(text))
        number = place["output_index"]
        await self._event(
            "response.output_item.done", output_index=number, item=item(self._row.turn_id, number, text, last=last)
        )
        self._texts.append(text)
        self._text = ""

    def _place(self) -> JsonObject:
        """Return what names the current message."""
        number = len(self._texts)
        return {"item_id": item_id(self._row.turn_id, number), "output_index": number}

    async def _event(self, kind: str, **fields: Any) -> None:
        """Add an event."""
        await self._events.put({"type": kind, "sequence_number": self._number, **fields}, kind)
        self._number += 1


class WholeResponse:
    """A response as one JSON object, at its end."""

    def __init__(self, send: Send, kept: KeptMessages, row: Row, headers: Mapping[str, str]) -> None:
        self._send = send
        self._kept = kept
        self._row = row
        self._headers = headers

    async def relay(self, progress: Progress) -> None:
        """Show nothing before the end."""

    async def write(self) -> None:
        """Do nothing: `deliver` writes."""

    async def deliver(self, outbound: Outbound) -> Receipt:
        """Send the response, or the error of a turn that failed."""
        if outbound.error is not None:
            await send_error(self._send, turn_error(outbound), self._headers)
        else:
            row = await self._kept.again(self._row)
            await send_json(self._send, response_object(row, outbound), headers=self._headers)
        return Receipt(outbound, PREFIX + outbound.turn_id)
