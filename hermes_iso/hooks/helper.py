"""Helper: the one process in which hooks run, in a sandbox of its own, and the questions that it is asked, one after the other.

A hook is the operator's code, but what it works on is written by strangers, so it gets no more than an agent does: no network,
no agent's directories, no program can be started. It may keep files in one directory of the gateway's. One that hangs is ended
with its process, and the next question finds a fresh one; so is a process that has answered many questions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
import trio

from hermes_iso.background import Background
from hermes_iso.hooks.hook import Hook
from hermes_iso.hooks.room import HOOKS, packages_inside
from hermes_iso.leases import LeaseLike, PoolLike
from hermes_iso_sandbox import wire
from hermes_iso_sandbox.confinement import Confinement
from hermes_iso_sandbox.errors import SandboxError

JsonObject = dict[str, Any]

LOAD_TIMEOUT = 10.0
"""Seconds in which all hooks have to be loaded."""
QUEUE_TIMEOUT = 10.0
"""Seconds that a question waits for the process, which others may be keeping busy."""
REST = 1.0
"""Seconds from a process that could not be had to the next try. Until one succeeds every question fails at once."""
QUESTIONS = 5_000
"""Questions that a process answers: a lease takes only so many messages."""


class HookFailedError(Exception):
    """A hook gave no answer; the text is a clause that says why."""


class AsksHooks(Protocol):
    """What asks hooks: a Helper, or what stands for it in a test."""

    async def ask(self, hook: int, event: str, context: JsonObject, *, timeout: float) -> Any:
        """Return the value that a hook gives for an event. Raises HookFailedError."""


@dataclass(slots=True, eq=False)
class _Question:
    """A question on its way: `answer` is there once `done` is set."""

    hook: int
    event: str
    context: JsonObject
    timeout: float
    answer: JsonObject = field(default_factory=dict)
    done: trio.Event = field(default_factory=trio.Event)

    def settle(self, answer: JsonObject) -> None:
        """Give the answer to who waits for it."""
        self.answer = answer
        self.done.set()


class Helper:
    """Runs hooks, while `serve_helper` runs.

    ready: set once the hooks were loaded for the first time, or could not be. events: from then on, what each names by itself.
    """

    def __init__(self, pool: PoolLike, confinement: Confinement, hooks: Sequence[Hook]) -> None:
        self.ready = trio.Event()
        self.events: list[frozenset[str]] = [frozenset() for _ in hooks]
        self._pool = pool
        self._confinement = confinement
        self._hooks = hooks
        self._questions, self._received = trio.open_memory_channel[_Question](0)
        self._log = structlog.get_logger()

    async def ask(self, hook: int, event: str, context: JsonObject, *, timeout: float) -> Any:
        """Return the value that a hook gives for an event, within `timeout` seconds once it is its turn.

        Raises HookFailedError. Cancelling stops waiting; the hook runs to its end.
        """
        question = _Question(hook, event, context, timeout)
        with trio.move_on_after(QUEUE_TIMEOUT + timeout):
            await self._questions.send(question)
            await question.done.wait()
        if not question.done.is_set():
            raise HookFailedError(f"had to wait for more than {QUEUE_TIMEOUT:g} s")
        self._tell(hook, question.answer)
        if "error" in question.answer:
            raise HookFailedError(str(question.answer["error"]))
        return question.answer.get("value")

    async def serve_helper(self) -> None:
        """Keep a process and answer with it, for ever."""
        why = ""
        while True:
            refusing = trio.CancelScope()
            async with Background() as nursery:
                if why:
                    nursery.start_soon(self._refuse_all, why, refusing)
                    await trio.sleep(REST)
                why = await self._serve_process(refusing)
            self.ready.set()

    async def _serve_process(self, refusing: trio.CancelScope) -> str:
        """Answer with one process to its end, and end `refusing` once it can; return why it could not be had, or ''."""
        try:
            async with self._pool.lease(self._confinement, session="hooks") as lease:
                await self._load(lease)
                refusing.cancel()
                self.ready.set()
                await self._answer_some(lease)
        except (SandboxError, HookFailedError) as error:
            self._log.error("hooks_not_running", reason=str(error))
            return f"could not be asked, because no process for hooks could be had ({error})"
        return ""

    async def _load(self, lease: LeaseLike) -> None:
        """Have the process load all hooks. Raises HookFailedError when it does not come to that, SandboxError."""
        await lease.send(_request(self._hooks))
        report = await _receive(lease, LOAD_TIMEOUT)
        loaded = report.get("loaded")
        if not isinstance(loaded, list) or len(loaded) != len(self._hooks):
            raise HookFailedError("it said nothing of its hooks")
        for number, each in enumerate(loaded):
            self._note_loaded(number, each if isinstance(each, dict) else {"error": "it said nothing of it"})

    def _note_loaded(self, number: int, report: JsonObject) -> None:
        """Take in how the loading of a hook went."""
        self._tell(number, report)
        if "error" in report:
            self._log.error("hook_not_loaded", hook=str(self._hooks[number]), reason=str(report["error"]))
        elif isinstance(report.get("events"), list):
            self.events[number] = frozenset(map(str, report["events"]))

    async def _answer_some(self, lease: LeaseLike) -> None:
        """Answer questions until the process has to be replaced."""
        for call_id in range(1, QUESTIONS):
            question = await self._received.receive()
            try:
                asked = {"hook": question.hook, "event": question.event, "context": question.context}
                await lease.send(wire.BrokerAnswer(call_id, True, asked))
                question.settle(await _receive(lease, question.timeout))
            except wire.WireError as error:
                question.settle({"error": f"can't be told of this: {error}"})
            except (SandboxError, HookFailedError) as error:
                question.settle({"error": str(error) if isinstance(error, HookFailedError) else "ended its own process"})
                return
            finally:
                if not question.done.is_set():
                    question.settle({"error": "was not asked, because the gateway stops"})

    async def _refuse_all(self, why: str, scope: trio.CancelScope) -> None:
        """Refuse what is asked, so that nobody waits for a process that can't be had."""
        with scope:
            async for question in self._received:
                question.settle({"error": why})

    def _tell(self, number: int, answer: JsonObject) -> None:
        """Put into the log what a hook printed."""
        if answer.get("said"):
            self._log.info("hook_said", hook=str(self._hooks[number]), text=str(answer["said"]))


def _request(hooks: Sequence[Hook]) -> wire.TurnRequest:
    """Return what tells a process its hooks."""
    told = [
        {
            "name": hook.name,
            "file": f"{HOOKS}/{hook.directory}/handler.py" if hook.directory else "",
            "entry": hook.entry,
            "packages": packages_inside(hooks).get(hook.packages, ""),
        }
        for hook in hooks
    ]
    return wire.TurnRequest("hooks", "hooks", "hooks", "hooks", json.dumps(told), [], "", "", [], 1, "hooks")


async def _receive(lease: LeaseLike, timeout: float) -> JsonObject:
    """Return what the process answers. Raises HookFailedError when that takes too long or is no answer, SandboxError."""
    with trio.move_on_after(timeout):
        message = await lease.receive()
        if isinstance(message, wire.BrokerCall) and message.method == "hook":
            return message.params
        raise HookFailedError("sent something that is no answer")
    raise HookFailedError(f"took longer than {timeout:g} s")
