"""`backup` and `restore`: a home in one file, also while its gateway runs."""

from __future__ import annotations

import os
from pathlib import Path

from cyclopts import App

from hermes_iso.backup import back_up, bring_back
from hermes_iso.cli.options import HomeOption, find_home


def add_commands(app: App) -> None:
    """Add `backup` and `restore`."""
    app.command(backup)
    app.command(restore)


def backup(file: str, /, *, home: HomeOption = None) -> int:
    """Write the home into FILE, a tar.gz that only you can read: it holds keys. The gateway may run meanwhile."""
    saved = back_up(find_home(home), Path(os.path.abspath(file)))
    print(f"{file}: {saved.files} files, {saved.databases} of them databases, {saved.size} bytes")
    return 0


def restore(file: str, /, *, home: HomeOption = None) -> int:
    """Unpack FILE, which backup wrote, into a home that is not there yet; nothing is overwritten."""
    where = find_home(home)
    print(f"{where}: {bring_back(Path(os.path.abspath(file)), where)} files restored")
    return 0
