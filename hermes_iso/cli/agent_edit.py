"""`agent add` and `agent remove`: change who there is, and tell the gateway that runs on the home."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import App, Parameter

from hermes_iso.admin import find_gateway
from hermes_iso.agent_changes import Wish, add_agent
from hermes_iso.agent_removal import Removal, delete_home, plan_removal, remove_agent
from hermes_iso.cli.control import print_change
from hermes_iso.cli.options import HomeOption, confirm, find_home, say
from hermes_iso.errors import ConfigError, HermesIsoError, UsageError


def add_edits(group: App) -> None:
    """Add `add` and `remove` to the group `agent`."""
    group.command(add)
    group.command(remove)


def add(
    name: str,
    /,
    *,
    model: Annotated[str | None, Parameter(help="Its model, as provider/name; without it the home's.")] = None,
    tools: Annotated[str | None, Parameter(help="A tool profile, or tools and toolsets with commas between them.")] = None,
    clone_from: Annotated[str | None, Parameter(help="An agent whose settings, persona, skills and memories it gets.")] = None,
    home: HomeOption = None,
) -> int:
    """Add an agent: its overlay in config.yaml, and its home in profiles/NAME. A running gateway serves it at once."""
    where = find_home(home)
    added = add_agent(where, os.environ, Wish(name, model, tools, clone_from))
    print(f"Added agent {added.agent}; its home is {added.home}" + ("." if added.made else ", as it was."))
    if added.left_out:
        print(f"Not cloned, because it is about {clone_from} alone: {', '.join(added.left_out)}.")
    _tell(where)
    return 0


def remove(
    name: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative=(), help="Do not ask.")] = False,
    delete: Annotated[
        bool, Parameter(name="--delete-home", negative=(), help="Delete its home and its sessions, too: for good.")
    ] = False,
    home: HomeOption = None,
) -> int:
    """Remove an agent from config.yaml, with the routes that lead to it. Its home is kept, unless told otherwise."""
    where = find_home(home)
    removal = plan_removal(where, os.environ, name)
    _print_plan(removal, delete)
    confirm(yes)
    remove_agent(where, os.environ, removal)
    print(f"Removed agent {removal.agent}.")
    _tell(where)
    if delete:
        delete_home(where, removal)
        print(f"Deleted {removal.home} and its sessions.")
    else:
        print(f"Its home is kept: {removal.home}")
    return 0


def _print_plan(removal: Removal, delete: bool) -> None:
    """Say what will go, before anybody is asked."""
    print(f"Removes agent {removal.agent} from the config.")
    for place in removal.named:
        say(f"warning: {place} leads to it, and is removed with it")
    print(f"Its home, {removal.home}, {'is DELETED with all files and sessions' if delete else 'is kept'}.")


def _tell(home: Path) -> None:
    """Have the gateway that runs on the home read it again. Raises what that raises: the config is changed all the same."""
    try:
        change = trio.run(_reloaded, home)
    except HermesIsoError as error:
        if not isinstance(error, ConfigError):
            raise UsageError(f"The config is changed, but the gateway that runs did not take it up: {error}") from error
        print("The config is changed, but the gateway that runs did not take it up:", file=sys.stderr)
        raise
    if change is not None:
        print("The gateway that runs has taken it up.")
        print_change(change)


async def _reloaded(home: Path) -> dict[str, object] | None:
    client = await find_gateway(home)
    return None if client is None else await client.operate("reload")
