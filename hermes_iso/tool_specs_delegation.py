"""The tool that hands a task to a subagent, as a model is told of it."""

from __future__ import annotations

from hermes_iso.tool_spec import ToolSpec, array, struct, text

_TOOLSETS = "Toolsets or tools that it gets of yours, such as [terminal, file]; without it all that a subagent may have."

DELEGATE_TASK = ToolSpec(
    "delegate_task",
    "Hand a task to a subagent, or several tasks to as many that work side by side, and wait for their summaries. A subagent"
    " has a fresh conversation and knows nothing of this one: say in goal and context all that it needs, paths and wishes"
    " included. It works on the same files and has your tools but memory, clarify, send_message and cronjob. Use it for work"
    " whose steps you need not see. It can be wrong: check what its summary claims. Give either goal or tasks.",
    struct(
        {
            "goal": text("What a single subagent is to do, by itself to be understood."),
            "context": text("What it has to know: files, findings, constraints, the form of the answer."),
            "toolsets": array(_TOOLSETS, {"type": "string"}),
            "tasks": array(
                "Several tasks at once, each for a subagent of its own; the results come in the same order.",
                struct(
                    {
                        "goal": text("What it is to do."),
                        "context": text("What it has to know."),
                        "toolsets": array(_TOOLSETS, {"type": "string"}),
                    },
                    "goal",
                ),
            ),
        }
    ),
)
