"""The tool clarify: the host puts the question to the person whose turn it is, and knows by itself who that is."""

from __future__ import annotations

from typing import Any

from hermes_iso_sandbox.guest.tools.tool import Argument, Bench, JsonObject, Tool, ToolError

MOST_CHOICES = 4
_LABELS = ("label", "description", "text", "title")


def _clarify(bench: Bench, given: JsonObject) -> JsonObject:
    """Ask, and wait for the answer however long it takes."""
    question = given["question"].strip()
    if not question:
        raise ToolError("clarify needs a question that says something.")
    choices = [label for label in map(_label, given.get("choices", [])) if label][:MOST_CHOICES]
    answer = bench.link.call("ask", {"kind": "clarify", "question": question, "choices": choices})
    if not answer["given"]:
        raise ToolError(f"No answer was given: {answer['reason']}", question=question)
    return {"question": question, "choices_offered": choices or None, "user_response": answer["answer"]}


def _label(choice: Any) -> str:
    """Return a choice as it is shown; models write objects where a text is wanted."""
    if isinstance(choice, dict):
        choice = next((choice[key] for key in _LABELS if isinstance(choice.get(key), str)), "")
    return choice.strip() if isinstance(choice, str) else str(choice)


TOOLS = (
    Tool(
        "clarify",
        _clarify,
        {"question": Argument("string", required=True), "choices": Argument("array")},
        preview="question",
    ),
)
