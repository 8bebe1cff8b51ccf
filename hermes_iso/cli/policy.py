"""`policy explain`: which tools an agent may call, what denies the others, and what of it the kernel enforces."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from hermes_iso.cli.options import HomeOption, JsonOption, find_agent, print_json, print_table, read_config
from hermes_iso.config.problems import possible, suggestion
from hermes_iso.errors import UsageError
from hermes_iso.explaining import explain, explain_tool
from hermes_iso.tools import KNOWN_TOOLS, TOOLS, TOOLSETS
from hermes_iso_sandbox.capability import landlock_abi


def add_commands(app: App) -> None:
    """Add the group `policy`."""
    group = App(name="policy", help="Ask what agents may do.")
    group.command(explain_policy, name="explain")
    app.command(group)


def explain_policy(name: str, tool: str | None = None, /, *, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Say which tools an agent is granted, what denies the others, and what the kernel makes of it; or that of one tool."""
    agent = find_agent(read_config(home), name)
    if tool is not None:
        _check_tool(tool)
        answer = explain_tool(agent, tool, landlock_abi())
    else:
        answer = explain(agent, landlock_abi())
    if as_json:
        print_json(answer)
    elif tool is not None:
        print(answer["sentence"])
    else:
        _print_tables(answer)
    return 0


def _check_tool(tool: str) -> None:
    """Raise UsageError for a name that is no tool of Hermes'."""
    if tool in KNOWN_TOOLS:
        return
    if tool in TOOLSETS:
        raise UsageError(f"{tool!r} is a toolset: name one of its tools ({', '.join(TOOLSETS[tool]) or 'it has none'}).")
    raise UsageError(f"There is no tool {tool[:60]!r}{suggestion(tool, KNOWN_TOOLS) or possible(tool, TOOLS)}")


def _print_tables(answer: dict[str, Any]) -> None:
    """Print the whole answer for a person."""
    rows: list[tuple[str, ...]] = [("TOOL", "", "BY")]
    rows += [(name, "granted", "") for name in answer["granted"]]
    rows += [(name, "denied", layer) for name, layer in answer["denied"].items()]
    rows += [(name, "not offered", "") for name in answer["not_offered"] if name not in answer["denied"]]
    print_table(rows)
    print()
    kernel = answer["kernel"]
    rows = [(f"{key}:", _text(value)) for key, value in kernel.items() if key != "narrowed_by_platform"]
    for platform, left in kernel["narrowed_by_platform"].items():
        rows.append((f"on {platform}:", "; ".join(f"{key} {_text(value)}" for key, value in left.items())))
    print_table(rows)


def _text(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "nothing"
    return "none" if value is None else str(value)
