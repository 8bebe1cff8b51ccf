"""`status`, `reload` and `drain`: ask the gateway that runs on a home."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import trio
from cyclopts import App, Parameter

from hermes_iso.admin import AdminClient, find_gateway
from hermes_iso.cli.options import HomeOption, JsonOption, find_home, print_json, print_line, print_table, say
from hermes_iso.errors import UsageError

WATCH_PAUSE = 1.0
"""Seconds between two looks of `status --watch`."""
DRAIN_PATIENCE = 90.0
"""Seconds for a gateway to end: more than it gives its turns."""
_CLEAR = "\x1b[H\x1b[2J"
Result = TypeVar("Result")


def add_commands(app: App) -> None:
    """Add `status`, `reload` and `drain`."""
    app.command(status)
    app.command(reload)
    app.command(drain)


def status(
    *,
    watch: Annotated[bool, Parameter(negative=(), help="Look again every second, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> int:
    """Show how the running gateway is: what it serves, what runs, what is not bounded. Exit 2 when none runs."""
    trio.run(_status, find_home(home), watch, as_json)
    return 0


def reload(*, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Have the running gateway read its home again, and print what that changed. Exit 2, with every error, when it is wrong."""
    change = trio.run(ask_gateway, find_home(home), lambda client: client.operate("reload"))
    if as_json:
        print_json(change)
    else:
        print_change(change)
    return 0


def drain(*, as_json: JsonOption = False, home: HomeOption = None) -> int:
    """Have the running gateway take no new turns, let those that run end, and exit; returns when it has."""
    answer = trio.run(ask_gateway, find_home(home), lambda client: client.drain(DRAIN_PATIENCE))
    if as_json:
        print_json(answer)
    else:
        print(f"The gateway has stopped; {_turns(answer)} when it was told to.")
    return 0


async def ask_gateway(home: Path, ask: Callable[[AdminClient], Awaitable[Result]]) -> Result:
    """Ask the gateway that runs on a home. Raises UsageError when there is none."""
    client = await find_gateway(home)
    if client is None:
        raise UsageError(f"No gateway runs on {home}: start one with hermes-iso run, or name another --home.")
    return await ask(client)


async def gateway_state(home: Path) -> dict[str, Any] | None:
    """Return what `doctor` tells of the gateway that runs on a home, or None where none does. Raises UsageError."""
    client = await find_gateway(home)
    found = None if client is None else await client.operate("status")
    return found and {key: found[key] for key in ("pid", "uptime_s", "generation", "reload_on_change", "last_reload")}


def gateway_text(found: dict[str, Any] | None) -> str:
    """Return that as a person reads it."""
    if found is None:
        return "gateway: none runs on this home"
    return f"gateway: pid {found['pid']} serves generation {found['generation']}{_reload_text(found)}"


def print_change(change: dict[str, Any]) -> None:
    """Print what a reload changed, for a person."""
    parts = [f"{what} {', '.join(names)}" for what, names in change["agents"].items() if names]
    routes = [f"{count} {what}" for what, count in change["routes"].items() if count]
    parts += [f"routes: {', '.join(routes)}"] if routes else []
    print(f"generation {change['generation']}: {'; '.join(parts) or 'the same agents and routes'}")
    for sentence in change["needs_restart"]:
        print(f"needs a restart: {sentence}")
    for agent, reason in change["not_served"].items():
        print(f"not served: {agent}: {reason}")
    for warning in change["warnings"]:
        say(f"warning: {warning}")


async def _status(home: Path, watch: bool, as_json: bool) -> None:
    """Print the status, once or again and again."""
    while True:
        found = await ask_gateway(home, lambda client: client.operate("status"))
        if as_json:
            (print_line if watch else print_json)(found)
        else:
            if watch and sys.stdout.isatty():
                print(_CLEAR, end="")
            _print_status(found)
        if not watch:
            return
        sys.stdout.flush()
        await trio.sleep(WATCH_PAUSE)


def _print_status(found: dict[str, Any]) -> None:
    """Print one status for a person."""
    pool, hooks = found["pool"], found["hooks"]
    rows: list[tuple[str, ...]] = [
        ("gateway:", f"pid {found['pid']}, up {_span(found['uptime_s'])}, {'draining' if found['draining'] else 'serving'}"),
        ("home:", found["home"]),
        ("generation:", f"{found['generation']}, for {_span(found['generation_age_s'])}{_reload_text(found)}"),
        ("turns:", _turns(found)),
        ("sandboxes:", f"{pool['sandboxes']}, with {pool['processes']} background processes"),
    ]
    if hooks["hooks"]:
        fared = f"{hooks['answered']} answers, {hooks['failed']} failures, {hooks['left_out']} left out"
        rows.append(("hooks:", f"{hooks['hooks']}, {fared}"))
    for agent in found["agents"]:
        default = " (default)" if agent["default"] else ""
        rows.append((f"agent {agent['id']}:", f"{agent['turns']} running{default}"))
    rows += [(f"agent {agent}:", f"not served: {reason}") for agent, reason in found["not_served"].items()]
    rows += [("not bounded:", f"{name}: {how}") for name, how in found["not_bounded"].items()]
    if found["warnings"]:
        rows.append(("warnings:", f"{len(found['warnings'])}; hermes-iso config check prints them"))
    print_table(rows)


def _reload_text(found: dict[str, Any]) -> str:
    """Say when files are watched, and what the last reload refused."""
    watched = ", files are watched" if found["reload_on_change"] else ""
    last = found["last_reload"]
    if last is None or not last["problems"]:
        return watched
    ago = _span(max(0.0, time.time() - last["at"]))
    return f"{watched}; a reload ({last['why']}) was refused {ago} ago: {'; '.join(last['problems'])}"


def _turns(found: dict[str, Any]) -> str:
    return f"{found['turns']['running']} running, {found['turns']['queued']} waiting"


def _span(seconds: float) -> str:
    """Return a span of time as people say it: its two largest units."""
    for name, size, below in (("d", 86400, "h"), ("h", 3600, "min"), ("min", 60, "s")):
        if seconds >= size:
            rest = {"h": 3600, "min": 60, "s": 1}[below]
            return f"{int(seconds // size)} {name} {int(seconds % size // rest)} {below}"
    return f"{seconds:.0f} s"
