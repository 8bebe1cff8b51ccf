"""The tools that read an agent's skills, as a model is told of them."""

from __future__ import annotations

from hermes_iso.tool_spec import ToolSpec, struct, text

SKILLS_LIST = ToolSpec(
    "skills_list",
    "List your skills: instructions for tasks of a kind, each with a name and what it is for. Look here before a task that may"
    " have been done before, and read the skill that fits with skill_view.",
    struct({"category": text("Only those of this category.")}),
)
SKILL_VIEW = ToolSpec(
    "skill_view",
    "Read a skill: its SKILL.md, and the names of its other files, which file_path then reads.",
    struct(
        {
            "name": text("The skill's name as skills_list shows it, or its path where two have one name."),
            "file_path": text("One of the skill's other files, such as references/api.md."),
        },
        "name",
    ),
)
