"""An engine that is no agent's: it loads the operator's hooks and runs one after the other, for as long as the host asks.

The host names the hooks in the request's text. The answers go out as broker calls, and the next question comes as the answer
to each: so a hook can say nothing that nobody asked for, and a frame that it forges ends its own process alone.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from hermes_iso_sandbox import wire
from hermes_iso_sandbox.guest.link import Link

JsonObject = dict[str, Any]
Handle = Callable[[str, JsonObject], Any]

ANSWER_BYTES = 64 << 10
"""Most bytes of a hook's answer as JSON."""
SAID_CHARS = 2_000
"""Characters of what a hook prints that the host is told."""


def take_turn(request: wire.TurnRequest, link: Link) -> wire.TurnDone:
    """Load the hooks, say how that went, and answer questions until the host hangs up."""
    with contextlib.closing(_Loader()) as loader:
        hooks = [loader.load(hook) for hook in json.loads(request.text)]
        answer: JsonObject = {"loaded": [hook.report for hook in hooks]}
        while True:
            question = link.call("hook", answer)
            answer = hooks[question["hook"]].run(question["event"], question["context"])


class _Hook:
    """A hook that was loaded, or why it was not."""

    def __init__(self, run_to_end: Callable[[Any], Any], handle: Handle | None, report: JsonObject) -> None:
        self.report = report
        self._run_to_end = run_to_end
        self._handle = handle

    def run(self, event: str, context: JsonObject) -> JsonObject:
        """Return what the hook answers to an event, and what it printed."""
        if self._handle is None:
            return {"error": self.report["error"]}
        with _printed() as said:
            answer = _guarded(lambda: self._answer(event, context))
        return {**answer, "said": said.getvalue()[:SAID_CHARS]}

    def _answer(self, event: str, context: JsonObject) -> JsonObject:
        """Return the hook's value where it can be sent on."""
        assert self._handle is not None
        value = self._handle(event, context)
        if inspect.isawaitable(value):
            value = self._run_to_end(value)
        if len(json.dumps(value, allow_nan=False).encode()) > ANSWER_BYTES:
            raise ValueError(f"an answer of more than {ANSWER_BYTES >> 10} KiB")
        return {"value": value}


class _Loader:
    """Loads hooks; makes the loop that asynchronous ones run on once there is one."""

    def __init__(self) -> None:
        self._runner: Any = None

    def load(self, hook: JsonObject) -> _Hook:
        """Return a hook from a file (`name`, `file`) or an installed package (`name`, `entry`, `packages`)."""
        handle: Handle | None = None

        def load() -> JsonObject:
            nonlocal handle
            handle = _from_file(hook["name"], hook["file"]) if hook["file"] else _from_package(hook["entry"], hook["packages"])
            return {"events": _events(handle)}

        with _printed() as said:
            report = _guarded(load)
        return _Hook(self._run_to_end, handle, {**report, "said": said.getvalue()[:SAID_CHARS]})

    def close(self) -> None:
        """Close the loop."""
        if self._runner is not None:
            self._runner.close()

    def _run_to_end(self, awaitable: Any) -> Any:
        """Await something on one loop for all: a hook may keep what belongs to the loop."""

        async def wait() -> Any:
            return await awaitable

        if self._runner is None:
            import asyncio

            self._runner = asyncio.Runner()
        return self._runner.run(wait())


def _from_file(name: str, path: str) -> Handle:
    """Return the function `handle` of a file, in a module that can be found by its name, as Hermes loads it."""
    module_name = f"hermes_hook_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return _callable(getattr(module, "handle", None), "handler.py has no function handle(event_type, context)")


def _from_package(entry: str, packages: str) -> Handle:
    """Return what an entry point names."""
    if packages not in sys.path:
        sys.path.append(packages)
    module, _, attribute = entry.partition(":")
    found: Any = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        found = getattr(found, part)
    return _callable(found, f"{entry} is no function of (event_type, context)")


def _callable(found: Any, complaint: str) -> Handle:
    """Return what can be called. Raises TypeError."""
    if not callable(found):
        raise TypeError(complaint)
    handle: Handle = found
    return handle


def _events(handle: Handle) -> list[str]:
    """Return the events that the function itself names, for a hook without a HOOK.yaml."""
    events: Iterable[object] = getattr(handle, "events", ())
    return sorted({str(event) for event in events})


def _guarded(step: Callable[[], JsonObject]) -> JsonObject:
    """Return what a step of a hook's gives, or what it failed with: nothing of a hook ends the others."""
    try:
        return step()
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


@contextlib.contextmanager
def _printed() -> Any:
    """Gather what is printed meanwhile."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said
