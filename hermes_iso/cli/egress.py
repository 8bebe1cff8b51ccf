"""`egress explain`: whether an agent's door would let a turn through to a host, and by which rule."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from hermes_iso.broker.explaining import explain_way
from hermes_iso.cli.options import HomeOption, JsonOption, find_agent, print_json, print_table, read_config
from hermes_iso.errors import UsageError


def add_commands(app: App) -> None:
    """Add the group `egress`."""
    group = App(name="egress", help="Ask what agents may reach.")
    group.command(explain)
    app.command(group)


def explain(name: str, target: str, /, *, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Say whether an agent's turns reach HOST:PORT, by which rule, and which line changes that. Looks nothing up."""
    config = read_config(home)
    agent = find_agent(config, name)
    try:
        answer = explain_way(agent, config.resolve, target)
    except ValueError as error:
        raise UsageError(f"{error}: say HOST:PORT, such as pypi.org:443.") from error
    if as_json:
        print_json(answer)
    else:
        _print_answer(answer)
    return 0


def _print_answer(answer: dict[str, Any]) -> None:
    """Print the answer for a person."""
    where = answer["host"] if answer["port"] is None else f"{answer['host']}:{answer['port']}"
    rows: list[tuple[str, ...]] = [("agent:", answer["agent"]), ("reaches:", where)]
    rows.append(("allowed:", "yes" if answer["tunnel"] else "in part, as plain HTTP" if answer["allowed"] else "no"))
    rows += [("only:", requests) for requests in answer["only"]]
    rows += [("never:", requests) for requests in answer["never"]]
    rows.append(("rule:", answer["rule"]))
    rows += [("secret:", f"{each['name']}, put into {each['header']} of {each['url']}") for each in answer["secrets"]]
    if answer["leads_to"]:
        rows.append(("leads to:", f"{answer['leads_to']}, by egress.resolve"))
    if answer["fix"]:
        rows.append(("to allow it:", answer["fix"]))
    print_table(rows)
