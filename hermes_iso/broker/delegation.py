"""What a guest may delegate: the broker method `delegate` of one turn, with every bound kept on this side.

A turn and all subagents below it share one Allowance, so that delegating further buys no more of them. How they are run is
not known here. What goes back is cut to fit one answer.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import trio

from hermes_iso.agents import Allowance
from hermes_iso.errors import TurnError
from hermes_iso.history import clean_text
from hermes_iso.outcomes import Outcome
from hermes_iso.toolsets import KNOWN_TOOLS, TOOLSETS

JsonObject: TypeAlias = dict[str, Any]

AT_A_TIME = 3
"""Subagents of one turn that work side by side: the smallest sandbox has a place for each of them and for the turn."""
SUMMARY_BYTES = 200_000
"""Most bytes of all summaries of one answer, as JSON: the guest's engine has to fit them into one result."""
TASKS = 64
"""Most tasks of one call; an agent's own limit is the same or lower."""
_CUT = "\n[The rest of this summary was cut.]"


@dataclass(frozen=True, slots=True)
class Task:
    """What one subagent is to do. toolsets: names of toolsets and tools that it gets of its parent's; None for all."""

    goal: str
    context: str = ""
    toolsets: tuple[str, ...] | None = None


RunTask: TypeAlias = Callable[[Task, int], Awaitable[Outcome]]
"""Takes a task and its number among the turn's, and runs it as a turn. Raises TurnError when there can be no such turn."""


class StepsLeft(Protocol):
    """Tells what a turn may still spend; `broker.door.ModelDoor` does."""

    @property
    def steps_left(self) -> int:
        """How many model calls are left to the turn beside those that it needs to end."""


class DelegateBroker:
    """Answers the broker method `delegate` for one turn.

    refusal: why this turn may not delegate, '' when it may.
    """

    def __init__(self, allowance: Allowance, run: RunTask, *, refusal: str, budget: StepsLeft) -> None:
        self._allowance = allowance
        self._run = run
        self._refusal = refusal
        self._budget = budget
        self._places = trio.Semaphore(AT_A_TIME)

    async def answer(self, params: JsonObject) -> JsonObject:
        """Run the tasks that `params` name, and return what came of each, in their order.

        Raises TurnError (not_granted, bad_params, too_many), to tell the guest: then none was begun.
        """
        if self._refusal:
            raise TurnError("not_granted", self._refusal)
        tasks = tasks_of(params)
        first = self._allowance.take(len(tasks))
        began = trio.current_time()
        results: list[JsonObject] = [{} for _ in tasks]
        async with trio.open_nursery() as nursery:
            for index, task in enumerate(tasks):
                nursery.start_soon(self._take, results, index, task, first + index)
        return {
            "results": results,
            "total_duration_seconds": round(trio.current_time() - began, 2),
            "steps_left": self._budget.steps_left,
        }

    async def _take(self, results: list[JsonObject], index: int, task: Task, number: int) -> None:
        """Run one task when there is a place for it."""
        async with self._places:
            began = trio.current_time()
            try:
                outcome = await self._run(task, number)
            except TurnError as error:
                outcome = Outcome(str(error), error=error.kind)
            seconds = round(trio.current_time() - began, 2)
        results[index] = {"task_index": index, **_told(outcome, SUMMARY_BYTES // len(results)), "duration_seconds": seconds}


def _told(outcome: Outcome, size: int) -> JsonObject:
    """Return what a parent is told of how its subagent ended."""
    usage = outcome.usage
    failed = outcome.error is not None
    return {
        "status": "failed" if failed else "interrupted" if outcome.interrupted else "completed",
        "summary": None if failed else _fitting(outcome.text, size),
        "error": _fitting(outcome.text, size) if failed else None,
        "api_calls": usage.calls,
        "tokens": {"input": usage.prompt_tokens, "output": usage.completion_tokens},
    }


def _fitting(text: str, size: int) -> str:
    """Return a text that takes at most `size` bytes as JSON."""
    cut = ""
    while len(json.dumps(text + cut, ensure_ascii=False).encode()) > size:
        text, cut = text[: len(text) * 3 // 4], _CUT
    return text + cut


def tasks_of(params: Mapping[str, Any]) -> list[Task]:
    """Return the tasks that a guest's parameters name. Raises TurnError(bad_params)."""
    given = {name: value for name, value in params.items() if value not in (None, "")}
    if given.get("tasks") == [] and "goal" in given:  # models fill in what they leave out
        del given["tasks"]
    if "tasks" not in given:
        return [_task(given, "the call")]
    tasks = given["tasks"]
    if "goal" in given:
        raise _bad("has both goal and tasks: give one of them")
    if not isinstance(tasks, list) or not 0 < len(tasks) <= TASKS:
        raise _bad(f"needs tasks as a list of 1 to {TASKS} objects")
    shared = {name: value for name, value in given.items() if name in ("context", "toolsets")}
    return [_task(each, f"tasks[{number}]", shared) for number, each in enumerate(tasks)]


def _task(value: Any, place: str, shared: Mapping[str, Any] | None = None) -> Task:
    """Return one task; what it leaves out is taken from `shared`."""
    if not isinstance(value, dict):
        raise _bad(f"needs {place} to be an object with a goal")
    given = {**(shared or {}), **{name: each for name, each in value.items() if each not in (None, "")}}
    goal, context = given.get("goal"), given.get("context", "")
    if not isinstance(goal, str) or not goal.strip():
        raise _bad(f"needs a goal as text in {place}")
    if not isinstance(context, str):
        raise _bad(f"needs the context in {place} to be text")
    return Task(clean_text(goal.strip()), clean_text(context.strip()), _toolsets(given.get("toolsets"), place))


def _toolsets(value: Any, place: str) -> tuple[str, ...] | None:
    """Return the toolsets that a task names, all of them known."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _bad(f"needs the toolsets in {place} to be a list of names")
    if not value:
        raise _bad(f"has an empty list of toolsets in {place}, which grants nothing: leave it out, or name some")
    known = {*TOOLSETS, *KNOWN_TOOLS}
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(name[:60].lower(), sorted(known), n=1)
            hint = f"{near[0]!r} is the nearest" if near else "use such as terminal, file or web"
            raise _bad(f"names an unknown toolset {clean_text(name[:60])!r} in {place}: {hint}")
    return tuple(value)


def _bad(text: str) -> TurnError:
    """Return the error of a call that can't be understood."""
    return TurnError("bad_params", f"The delegate call {text}.")
