"""The tool that asks a person, as a model is told of it."""

from __future__ import annotations

from hermes_iso.questions import CHOICES
from hermes_iso.tool_spec import ToolSpec, array, struct, text

CLARIFY = ToolSpec(
    "clarify",
    "Ask the person for whom you work something and wait for the answer: where a request can be read in two ways that matter,"
    " or a decision is theirs. Give up to four choices in choices, not in the question; an answer in other words is possible"
    " too. Do not ask what you can find out, or what hardly matters. Where nobody can answer, the result says so: then decide,"
    " or put the question into your answer.",
    struct(
        {
            "question": text("The question alone, without the choices."),
            "choices": {**array("Answers to choose from.", {"type": "string"}), "maxItems": CHOICES},
        },
        "question",
    ),
)
