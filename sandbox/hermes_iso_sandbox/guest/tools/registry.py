"""The registry of one turn: it holds the granted tools only, and turns a model's call into a result text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from hermes_iso_sandbox.guest.link import CallError
from hermes_iso_sandbox.guest.tools import asking, code, cron, files, memory, messages, terminal, todo
from hermes_iso_sandbox.guest.tools.refused import REFUSED
from hermes_iso_sandbox.guest.tools.tool import Bench, JsonObject, Tool, ToolError

ALL: tuple[Tool, ...] = (
    *terminal.TOOLS,
    *files.TOOLS,
    *code.TOOLS,
    *memory.TOOLS,
    *todo.TOOLS,
    *asking.TOOLS,
    *messages.TOOLS,
    *cron.TOOLS,
)
RESULT_BYTES = 300_000
"""Most bytes of one result: three of them and the system prompt still fit in one call of the model."""
PREVIEW = 80


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call came to: the text for the model, and whether the tool did what was asked."""

    text: str
    ok: bool


class Registry:
    """The tools of one turn, by name. A tool that is not granted is not here, so nothing can call it by mistake.

    What stands in for a refused call is always here: it does nothing.
    """

    def __init__(self, granted: Iterable[str], bench: Bench) -> None:
        wanted = set(granted)
        self._tools = {tool.name: tool for tool in ALL if tool.name in wanted}
        self._bench = bench

    def __contains__(self, name: str) -> bool:
        return name in self._tools or name == REFUSED.name

    def preview(self, name: str, arguments: str) -> str:
        """Return a short line that says what a call is about."""
        tool = self._tools.get(name)
        try:
            given = json.loads(arguments)
        except (ValueError, RecursionError):
            given = None
        value = given.get(tool.preview, arguments if given else "") if tool and isinstance(given, dict) else arguments
        line = " ".join(clean(value if isinstance(value, str) else arguments)[: 4 * PREVIEW].split())
        return line if len(line) <= PREVIEW else line[: PREVIEW - 1] + "…"

    def run(self, name: str, arguments: str) -> Outcome:
        """Do one call. What a tool can't do is told to the model; only an interrupt or a closed link is raised."""
        tool = REFUSED if name == REFUSED.name else self._tools.get(name)
        if tool is None:
            granted = ", ".join(self._tools) or "none"
            return _outcome({"error": f"There is no tool {clean(name)[:100]!r} in this turn; granted are: {granted}."})
        try:
            given = _parse(arguments, name)
            result = tool.run(self._bench, tool.check(given))
            if ignored := [clean(key)[:60] for key in given if key not in tool.arguments][:10]:
                result = {**result, "ignored_arguments": ignored}
            return _outcome(result)
        except ToolError as error:
            return _outcome(error.result)
        except CallError as error:
            return _outcome({"error": error.message or error.kind})
        except (OSError, ValueError, RecursionError) as error:
            return _outcome({"error": f"{name} failed: {error}"})


def _parse(arguments: str, name: str) -> JsonObject:
    """Return a call's arguments; a model may leave them out altogether."""
    try:
        given = json.loads(arguments) if arguments.strip() else {}
    except RecursionError as error:
        raise ToolError(f"The arguments of {name} are nested too deeply.") from error
    except ValueError as error:
        raise ToolError(f"The arguments of {name} are not valid JSON: {error}. Call it again with one JSON object.") from error
    if not isinstance(given, dict):
        raise ToolError(f"The arguments of {name} must be one JSON object, not {type(given).__name__}.")
    return given


def _outcome(result: JsonObject) -> Outcome:
    """Return a result as the model gets it, never longer than RESULT_BYTES."""
    ok = not result.get("error") and result.get("success", True) is not False
    text = clean(json.dumps(result, ensure_ascii=False))
    if len(text) > RESULT_BYTES or len(text.encode()) > RESULT_BYTES:
        note = f"The result is too long to show ({len(text)} characters): ask for less. This is how it begins."
        text = json.dumps({"error": note, "preview": text[:2000]}, ensure_ascii=False)
    return Outcome(text, ok)


def clean(text: str) -> str:
    """Return a text that UTF-8 can carry: file names may hold bytes that are no text, and models write half a surrogate."""
    return text.encode("utf-8", "replace").decode()
