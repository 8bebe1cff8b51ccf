"""A guest's link without a host: it answers calls from a script and keeps what was sent."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import Interrupted


def says(text: str) -> dict[str, Any]:
    """Return a model's answer in words."""
    return {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}


def calls(*wanted: tuple[str, Any], text: str | None = None) -> dict[str, Any]:
    """Return a model's answer that calls tools; arguments that are text are sent as they are."""
    made = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(wanted)
    ]
    return {"message": {"role": "assistant", "content": text, "tool_calls": made}, "finish_reason": "tool_calls"}


class FakeLink:
    """Answers each call with the next entry of its script: a dict is the answer, an exception raised, a function asked."""

    def __init__(self, *script: Any) -> None:
        self.script = list(script)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[Any] = []
        self._guest, self._host = socket.socketpair()
        self._interrupted = False
        self.told: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._guest.close()
        self._host.close()

    def fileno(self) -> int:
        """Return what is readable after an interrupt."""
        return self._guest.fileno()

    def interrupt(self) -> None:
        """Do what a host does that wants the turn to end."""
        self._host.sendall(b"x")

    def poll_interrupt(self) -> bool:
        """Return whether `interrupt` was called."""
        self._guest.setblocking(False)
        with suppress(BlockingIOError):
            self._interrupted = bool(self._guest.recv(16)) or self._interrupted
        return self._interrupted

    def take_told(self) -> list[str]:
        """Return what a test put into `told`, once."""
        told, self.told = self.told, []
        return told

    def send(self, message: Any) -> None:
        """Keep a message that would fit in a frame."""
        wire.encode(message)
        self.sent.append(message)

    def call(
        self, method: str, params: dict[str, Any], on_chunk: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Answer from the script; text of a model's answer is streamed in two pieces."""
        wire.encode(wire.BrokerCall(1, method, params))
        self.calls.append((method, json.loads(json.dumps(params))))
        entry = self.script.pop(0)
        answer = entry(self, on_chunk) if callable(entry) else entry
        if isinstance(answer, BaseException):
            raise answer
        text = (answer.get("message") or {}).get("content")
        if text and on_chunk is not None:
            on_chunk({"text": text[:3]})
            on_chunk({"text": text[3:]})
        return answer


def interrupted_after(text: str) -> Callable[[FakeLink, Callable[[dict[str, Any]], None]], BaseException]:
    """Return a script's entry: the model says a little, then the host wants an end."""

    def entry(link: FakeLink, on_chunk: Callable[[dict[str, Any]], None]) -> BaseException:
        on_chunk({"text": text})
        return Interrupted()

    return entry
