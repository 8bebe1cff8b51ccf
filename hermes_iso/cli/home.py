"""`home chown`: give an agent's files to a host uid of its own, where a root gateway can't do without."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from hermes_iso import chown as files
from hermes_iso.cli.machine import can_map, file_system
from hermes_iso.cli.options import HomeOption, confirm, find_agent, read_config
from hermes_iso.errors import UnsupportedError, UsageError
from hermes_iso.home_lock import hold_home, make_private
from hermes_iso.owners import OwnersRecord, choose_uid, read_record, record_path, write_record


def add_commands(app: App) -> None:
    """Add the group `home`."""
    group = App(name="home", help="See to the files of a home.")
    group.command(chown)
    app.command(group)


def chown(
    name: str,
    /,
    *,
    undo: Annotated[bool, Parameter(negative=(), help="Give every file back to its former owner.")] = False,
    yes: Annotated[bool, Parameter(negative=(), help="Do not ask.")] = False,
    home: HomeOption = None,
) -> int:
    """Give an agent's own files to a host uid of its own: only for a root gateway whose home can't map owners."""
    if os.geteuid() != 0:
        raise UsageError(
            "home chown is for a root gateway: an ordinary user's agents are that user, and own its files already."
        )
    config = read_config(home)
    agent = find_agent(config, name)
    with hold_home(config.home):
        if undo:
            return _undo(config.home, agent.id, agent.profile.directories, yes)
        _check_needed(agent.profile.home)
        agent.profile.ensure_directories()
        known = read_record(config.home, agent.id) or OwnersRecord(choose_uid(config.home, agent.id, config.host_uids), {})
        return _give(config.home, agent.id, agent.profile.directories, known, yes)


def _check_needed(profile: Path) -> None:
    """Raise UsageError where id-mapped mounts serve, UnsupportedError where nothing would."""
    profile.mkdir(mode=0o700, exist_ok=True)
    check = can_map(profile)
    if check is None:
        raise UnsupportedError("Sandboxes can't be had on this machine at all: hermes-iso doctor says what is missing.")
    if check.ok:
        raise UsageError(f"home chown is not needed here: the file system of {profile} ({file_system(profile)}) maps owners.")


def _give(home: Path, agent: str, directories: Mapping[str, str], known: OwnersRecord, yes: bool) -> int:
    """Say what will change its owner, ask, write that down, and do it."""
    record = files.former_owners(directories, known)
    count = sum(len(entries) for entries in record.former.values())
    print(f"Gives {count} files and directories of agent {agent} to the host uid {record.uid}: all that is in")
    print("\n".join(f"  {path}" for path in directories.values()))
    print(
        f"Former owners are kept in {record_path(home, agent)}; back again: hermes-iso home chown {agent} --undo --home {home}"
    )
    confirm(yes)
    for directory in (home / "hermes-iso" / "agents", record_path(home, agent).parent):
        make_private(directory)
    write_record(home, agent, record)
    print(f"{files.give(directories, record)} changed their owner.")
    return 0


def _undo(home: Path, agent: str, directories: Mapping[str, str], yes: bool) -> int:
    """Say what will change back, ask, and do it."""
    record = read_record(home, agent)
    if record is None:
        raise UsageError(f"There is nothing to undo: no file of agent {agent} was given away.")
    print(f"Gives all files of agent {agent} that belong to the host uid {record.uid} back to their former owners.")
    confirm(yes)
    print(f"{files.restore(directories, record)} changed their owner.")
    record_path(home, agent).unlink()
    return 0
