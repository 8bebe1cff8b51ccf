"""The turn's channel while hermes-agent works: its threads write to it, and one thread of ours reads what the host says."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import CallError, Link, LinkClosed

_STOPPED = wire.BrokerAnswer(0, ok=False, data={"kind": "interrupted", "message": "The turn was stopped."})


class Talk:
    """Sends whole messages from any thread, and hands on what comes: an interrupt, what the turn is told, answers to calls."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._sending = threading.Lock()
        self._answers: dict[int, queue.SimpleQueue[wire.BrokerAnswer | None]] = {}
        self._calls = 0
        self.interrupted = threading.Event()

    def send(self, message: wire.GuestMessage) -> None:
        """Send one message. Raises LinkClosed when the host is gone, WireError when it does not fit a frame."""
        with self._sending:
            self._link.send(message)

    def listen(self, on_interrupt: Callable[[], object], on_told: Callable[[str], object]) -> None:
        """Begin to read what the host says, until it hangs up."""
        threading.Thread(target=self._read, args=(on_interrupt, on_told), name="host", daemon=True).start()

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Ask the broker from any thread and wait for its answer.

        Raises CallError when it refuses or the turn is stopped meanwhile, LinkClosed.
        """
        answers: queue.SimpleQueue[wire.BrokerAnswer | None] = queue.SimpleQueue()
        with self._sending:
            self._calls += 1
            number = self._calls
            self._answers[number] = answers
            self._link.send(wire.BrokerCall(number, method, params))
        answer = _STOPPED if self.interrupted.is_set() else answers.get()
        if answer is None:
            raise LinkClosed
        if not answer.ok:
            raise CallError(str(answer.data.get("kind", "")), str(answer.data.get("message", "")))
        return answer.data

    def _read(self, on_interrupt: Callable[[], object], on_told: Callable[[str], object]) -> None:
        """Hand on one message after the other."""
        try:
            while True:
                message = self._link.listen()
                if isinstance(message, wire.Interrupt):
                    self.interrupted.set()
                    for answers in list(self._answers.values()):
                        answers.put(_STOPPED)
                    on_interrupt()
                elif isinstance(message, wire.Steer):
                    on_told(message.text)
                elif isinstance(message, wire.BrokerAnswer) and message.call_id in self._answers:
                    self._answers.pop(message.call_id).put(message)
        except LinkClosed:
            for answers in list(self._answers.values()):
                answers.put(None)
