"""docs/reference/commands.md against the registry: every command, alias and reason, and nothing else."""

import re
from pathlib import Path

from hermes_iso.commands.registry import COMMANDS
from hermes_iso.commands.unavailable import UNAVAILABLE

PAGE = (Path(__file__).parents[3] / "docs/reference/commands.md").read_text(encoding="utf-8")


def test_every_command_is_documented_as_it_is() -> None:
    """One row for each, in order: its names, its arguments, its sentence, and what it needs."""
    rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in PAGE.splitlines() if row.startswith("| `/")]
    found = [tuple(cell.strip().replace("\\|", "|") for cell in row) for row in rows]
    expected = []
    for command in COMMANDS:
        names = [
            f"`/{command.name}{' ' + command.usage if command.usage else ''}`",
            *(f"`/{each}`" for each in command.aliases),
        ]
        needs = ("admins" if command.admin else "", "a kept session" if command.stored else "")
        expected.append((", ".join(names), command.summary, ", ".join(filter(None, needs))))
    assert found == expected


def test_every_command_that_is_not_available_is_documented_with_its_reason() -> None:
    """The lists at the page's end are those of the code."""
    found = {}
    for reason, names in re.findall(r"^- because ([^:]+): (.+)$", PAGE, re.MULTILINE):
        found.update(dict.fromkeys(re.findall(r"`/([^`]+)`", names), reason))
    assert found == dict(UNAVAILABLE)
